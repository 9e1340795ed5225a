"""Hostile dialogues: each ends with the reply that the RFCs ask for, however its bytes are cut."""

from __future__ import annotations

import pytest

from relaynode.smtp.phases import Phase
from relaynode.smtp.terms import Terms
from unit.smtp.hostile import Hostile, begins_as, read_all
from unit.smtp.talk import Desk, way_to

DIALOGUES = read_all()


def desk_for(one: Hostile) -> Desk:
    desk = Desk(terms=Terms(**dict.fromkeys(one.terms, True)))
    desk.says()
    for command in way_to(one.phase):
        desk.says(command)
    assert desk.session.phase is one.phase
    return desk


def test_there_are_two_hundred_and_no_two_of_a_name() -> None:
    assert len(DIALOGUES) >= 200
    assert len({one.place for one in DIALOGUES}) == len(DIALOGUES)


@pytest.mark.parametrize("one", DIALOGUES, ids=lambda one: one.place)
def test_a_hostile_dialogue_is_answered_as_the_rfcs_ask(one: Hostile) -> None:
    desk = desk_for(one)
    for exchange in one.exchanges:
        said = desk.says(exchange.sent)
        assert begins_as(said, exchange.said), (exchange.sent[:200], said)
    assert desk.messages == one.messages
    assert (desk.session.phase is Phase.CLOSED) == one.is_closed


@pytest.mark.parametrize(
    "one", [one for one in DIALOGUES if "is_strict" not in one.terms], ids=lambda one: one.place
)
def test_cut_into_pieces_it_is_answered_in_the_same_way(one: Hostile) -> None:
    # A strict server looks at what came together, so there the cut matters.
    sent = b"".join(exchange.sent for exchange in one.exchanges)
    expected = [line for exchange in one.exchanges for line in exchange.said]
    for step in (1, 3, 7) if len(sent) < 400 else (7,):
        desk = desk_for(one)
        said = b"".join(desk.says(sent[at : at + step]) for at in range(0, len(sent), step))
        assert begins_as(said, expected), (step, said)
        assert desk.messages == one.messages
