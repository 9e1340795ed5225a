"""Which messages a run is for: sendmail's -qI, -qR, -qS and their negations."""

from __future__ import annotations

import pytest

from relaynode.links.wish import Wish
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.model import MessageState, QueuedMessage, QueuedRecipient

RECIPIENTS = (Recipient("bob@out.example"), Recipient("carol@down.example"))
MESSAGE = QueuedMessage(
    "6ALGWY9N005467",
    MessageState.QUEUED,
    0.0,
    "test",
    Envelope("alice@gate.example.org", RECIPIENTS),
    1,
    tuple(QueuedRecipient(number, one) for number, one in enumerate(RECIPIENTS)),
)


@pytest.mark.parametrize(
    ("only", "takes"),
    [
        ("", True),
        ("Iy9n", True),
        ("Ix", False),
        ("RDOWN.example", True),
        ("Rnowhere", False),
        ("Salice", True),
        ("Sbob", False),
        ("Rnowhere Rout", True),
        ("Rout Sbob", False),
        ("Rout Salice", True),
        ("!Rdown", False),
        ("!Rnowhere", True),
        ("!Rnowhere !Rdown", False),
        ("!Rnowhere !Rnobody", True),
        ("!Rnowhere Salice", True),
        ("!Salice Rout", False),
        ("!I6AL", False),
        ("R", True),
    ],
)
def test_pairs_of_a_kind_are_alternatives_and_kinds_must_all_fit(only: str, takes: bool) -> None:
    pairs = tuple((word.rstrip(word.lstrip("!IRS")), word.lstrip("!IRS")) for word in only.split())
    wish = Wish(only=pairs)
    assert wish.takes(MESSAGE) is takes
    assert Wish.from_json(wish.to_json()) == wish
