"""STARTTLS and AUTH as a client sees them. Most of it is text: see login_dialogues/ and talk.py.

A line "O:" in a dialogue says what the session offers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.smtp.events import AuthResponse, AuthStart, StartTls
from relaynode.smtp.security import Security
from relaynode.smtp.server import Session
from unit.smtp.talk import HELLO, Desk, read_dialogue

DIALOGUES = sorted((Path(__file__).parent / "login_dialogues").glob("*.txt"))


def security_of(path: Path) -> Security:
    """What the line O: of a dialogue says."""
    words = [
        word
        for line in path.read_text().splitlines()
        if line.startswith("O:")
        for word in line[2:].split()
    ]
    mechanisms = [word.removeprefix("mechanisms=") for word in words if "=" in word]
    return Security(
        mechanisms=tuple(name for names in mechanisms for name in names.split(",")),
        **{word: True for word in words if "=" not in word},
    )


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_each_group_of_commands_is_answered_as_the_dialogue_says(path: Path) -> None:
    dialogue = read_dialogue(path)
    desk = Desk(security=security_of(path))
    for turn in dialogue.turns:
        assert desk.says(turn.sent) == turn.said
    assert desk.messages == dialogue.messages


def test_nothing_is_said_between_the_answer_to_starttls_and_tls() -> None:
    session = Session("mx", max_size_bytes=9, security=Security(offers_tls=True))
    session.receive(HELLO + b"STARTTLS\r\n")
    while not isinstance(session.next_event(), StartTls):
        pass
    with pytest.raises(LocalProtocolError):
        session.next_event()
    with pytest.raises(LocalProtocolError):
        Session("mx", max_size_bytes=9).tls_started()


def test_a_challenge_without_a_login_is_a_defect() -> None:
    with pytest.raises(LocalProtocolError):
        Session("mx", max_size_bytes=9).challenge(b"")


def test_what_is_said_in_a_login_is_not_shown_by_its_events() -> None:
    assert "sesame" not in repr(AuthStart("PLAIN", b"sesame")) + repr(AuthResponse(b"sesame"))
