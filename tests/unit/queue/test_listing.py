"""The queue in mailq's layout. The listings are those that sendmail gave for the same queue."""

from __future__ import annotations

import time

from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import Status, temporary
from relaynode.queue.listing import listing
from relaynode.queue.model import (
    MessageState,
    QueuedMessage,
    QueuedRecipient,
    RecipientState,
)

ARRIVED = 1795278754.0  # Sat, 21 Nov 2026 16:32:34 UTC
TIMED_OUT = temporary("Connection timed out with [198.51.100.200]")
LONG_ADDRESS = (
    "a.very.long.local.part.indeed.that.goes.on.and.on.and.on@a.very.long.domain.name.out.example"
)


def message(
    queue_id: str,
    *recipients: QueuedRecipient,
    sender: str = "alice@gate.example.org",
    body: str = "",
    body_bytes: int = 6,
    header_bytes: int = 21,
) -> QueuedMessage:
    """A message of so many bytes with Unix line ends, and 4 lines."""
    paths = tuple(recipient.forward_path for recipient in recipients)
    return QueuedMessage(
        queue_id,
        MessageState.QUEUED,
        ARRIVED,
        "test",
        Envelope(sender, paths, body),
        header_bytes + body_bytes + 4,
        recipients,
        lines=4,
        body_bytes=body_bytes,
    )


def to(
    address: str,
    status: Status | None = None,
    state: RecipientState = RecipientState.WAITING,
    attempts: int = 0,
    claim: str | None = None,
) -> QueuedRecipient:
    return QueuedRecipient(0, Recipient(address), state, attempts, claim=claim, last_status=status)


def listed(*messages: QueuedMessage, is_long: bool = False) -> str:
    return listing(messages, "/var/spool/mqueue", time.gmtime, is_long=is_long)


TRIED = message(
    "6ALGWY9N005467",
    to("carol@down.example", TIMED_OUT, attempts=1),
    to("dave@closed.example", attempts=1),
    to("bob@out.example", state=RecipientState.DELIVERED, attempts=1),
    body_bytes=3600,
    header_bytes=17,
)
FROM_NOBODY = message("6ALGWYqB005474", to("joe@out.example"), sender="")
TO_A_LONG_ADDRESS = message("6ALGWZ35005478", to(LONG_ADDRESS), body="7BIT")


def test_an_empty_queue_is_said_to_be_empty() -> None:
    assert listed() == "/var/spool/mqueue is empty\n\t\tTotal requests: 0\n"


def test_one_message_is_one_request() -> None:
    assert listed(FROM_NOBODY) == (
        "\t\t/var/spool/mqueue (1 request)\n"
        "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------\n"
        "6ALGWYqB005474        6 Sat Nov 21 16:32 <>\n"
        "\t\t\t\t\t joe@out.example\n"
        "\t\tTotal requests: 1\n"
    )


def test_messages_stand_in_the_order_of_the_next_run_with_body_type_and_status() -> None:
    assert listed(TRIED, FROM_NOBODY, TO_A_LONG_ADDRESS).splitlines()[2:-1] == [
        "6ALGWYqB005474        6 Sat Nov 21 16:32 <>",
        "\t\t\t\t\t joe@out.example",
        "6ALGWZ35005478        6 Sat Nov 21 16:32 alice@gate.example.org",
        "          7BIT",
        "\t\t\t\t\t a.very.long.local.part.indeed.that.goe",
        "6ALGWY9N005467     3600 Sat Nov 21 16:32 alice@gate.example.org",
        "                 (Deferred: Connection timed out with [198.51.100.200])",
        "\t\t\t\t\t carol@down.example",
        "\t\t\t\t\t dave@closed.example",
    ]


def test_the_long_form_has_the_priority_and_more_room() -> None:
    assert listed(TRIED, TO_A_LONG_ADDRESS, is_long=True) == (
        "\t\t/var/spool/mqueue (2 requests)\n"
        "-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------\n"
        "6ALGWZ35005478        6      30027 Nov 21 16:32 alice@gate.example.org\n"
        "          7BIT\n"
        "\t\t\t\t\t\ta.very.long.local.part.indeed.that.goes.on.and.on.and.on@a.very.long.do\n"
        "6ALGWY9N005467     3600     183617 Nov 21 16:32 alice@gate.example.org\n"
        "                 (Deferred: Connection timed out with [198.51.100.200])\n"
        "\t\t\t\t\t\tcarol@down.example\n"
        "\t\t\t\t\t\tdave@closed.example\n"
        "\t\tTotal requests: 2\n"
    )


def test_body_type_and_status_share_a_line_and_long_texts_are_cut() -> None:
    status = temporary(f"Name server: {'b' * 60}.example: host name lookup failure")
    one = message("6ALKZ8aL008913", to("a@b", status), sender="a" * 100, body="8BITMIME")
    assert listed(one).splitlines()[2:4] == [
        f"6ALKZ8aL008913        6 Sat Nov 21 16:32 {'a' * 39}",
        f"      8BITMIME   (Deferred: Name server: {'b' * 37})",
    ]
    assert listed(one, is_long=True).splitlines()[2:4] == [
        f"6ALKZ8aL008913        6      30027 Nov 21 16:32 {'a' * 78}",
        f"      8BITMIME   (Deferred: Name server: {'b' * 60}.example: host na)",
    ]


def test_what_is_being_delivered_has_a_star() -> None:
    one = message("6ALGWYqB005474", to("a@b", claim="somebody"))
    assert listed(one).splitlines()[2].startswith("6ALGWYqB005474*       6 Sat")


def test_the_day_has_two_columns() -> None:
    one = message("6ALGWYqB005474", to("a@b"))
    shown = listing([one], "/q", lambda moment: time.gmtime(moment - 20 * 86400))
    assert " Sun Nov  1 16:32 alice" in shown


def test_why_a_message_is_held_stands_below_it() -> None:
    text = listing(
        [TRIED], "/q", time.gmtime, quarantined={"6ALGWY9N005467": "operator hold" + "!" * 60}
    )
    assert text.splitlines()[3:5] == [
        f"     QUARANTINE: operator hold{'!' * 47}",
        "                 (Deferred: Connection timed out with [198.51.100.200])",
    ]
