"""What may go out before a server has said that it takes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import RemoteProtocolError
from relaynode.mail.envelope import Recipient
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Finished, Mispresumed, Ready, State
from relaynode.smtp.presumption import LONGEST_LINE, VERBS, Watch
from relaynode.smtp.transaction import Transaction

OFFERED = {"PIPELINING": "", "CHUNKING": "", "SIZE": "1000", "DSN": ""}
CONTENT = b"Subject: a\r\n\r\nbody\r\n"
GREETING = b"220 mx.example.net\r\n"


# --- the watch


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("before", [b"", b"Subject: x\r\n\r\n", b"text\n", b"text\r", b"a\r\n \t"])
def test_a_line_that_is_a_command_is_not_harmless(verb: str, before: bytes) -> None:
    for written in (verb, verb.lower(), verb.title()):
        assert not Watch().is_harmless(before + written.encode() + b" FROM:<a@b>\r\n")


@pytest.mark.parametrize(
    "text", [b"Subject: mail from home\r\n", b"Mailing list\r\n", b"x MAIL FROM:<a@b>\r\n", b""]
)
def test_what_only_speaks_of_commands_is_harmless(text: bytes) -> None:
    assert Watch().is_harmless(text)


@given(st.integers(0, 40), st.integers(1, 40))
def test_where_content_is_cut_is_no_matter(first: int, second: int) -> None:
    content = b"Subject: x\r\n\r\nMAIL FROM:<evil@example.org>\r\n"
    watch = Watch()
    cuts = [content[:first], content[first : first + second], content[first + second :]]
    assert not all(watch.is_harmless(piece) for piece in cuts)


def test_a_line_that_a_server_might_cut_is_not_harmless() -> None:
    watch = Watch()
    assert watch.is_harmless(b"x" * (LONGEST_LINE - 100))
    assert not watch.is_harmless(b"x" * 100 + b"MAIL FROM:<evil@example.org>\r\n")


def test_the_end_of_a_line_ends_its_length() -> None:
    watch = Watch()
    assert all(watch.is_harmless(b"x" * (LONGEST_LINE - 1) + b"\r\n") for _ in range(5))


# --- the core


def presuming(**more: bool) -> tuple[Client, Transaction]:
    """A client that has said EHLO and one whole message."""
    client = Client("pc.lan")
    client.receive(GREETING)
    client.hello(OFFERED)
    recipient = Recipient("bob@example.net", "NEVER" if more.get("dsn") else "")
    recipients = [recipient, Recipient("carol@example.net")][: 2 if more.get("two") else 1]
    transaction = Transaction(None, "alice@example.org", recipients, len(CONTENT))
    client.begin(transaction)
    client.send_content(CONTENT)
    client.end_content()
    return client, transaction


def test_the_first_message_follows_ehlo_at_once() -> None:
    client, _ = presuming()
    assert client.is_presuming
    assert client.data_to_send() == (
        b"EHLO pc.lan\r\nMAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\n"
        b"BDAT %d LAST\r\n" % len(CONTENT) + CONTENT
    )


def test_the_answer_counts_from_when_it_comes() -> None:
    client, transaction = presuming()
    answer = b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
    assert client.receive(answer) == [Ready()]
    assert not client.is_presuming
    assert client.extensions == {"CHUNKING": "", "PIPELINING": ""}
    assert client.receive(b"250 s\r\n250 r\r\n250 taken\r\n") == [Finished(transaction)]


@pytest.mark.parametrize(
    "answer",
    [
        b"250-mx.example.net\r\n250 PIPELINING\r\n",
        b"250 mx.example.net\r\n",
        b"502 no EHLO here\r\n",
        b"550 not you\r\n",
    ],
)
def test_a_server_that_takes_no_chunks_any_more_ends_the_session(answer: bytes) -> None:
    client, transaction = presuming()
    (event,) = client.receive(answer)
    assert isinstance(event, Mispresumed)
    assert "CHUNKING" in event.missing
    assert event.is_refused == (answer[:1] == b"5")
    assert client.state is State.CLOSED
    assert not client.can_begin
    assert not transaction.is_in_doubt, "it was taken for commands, not for a message"


def test_a_parameter_that_is_not_offered_any_more_leaves_its_message_in_doubt() -> None:
    client, transaction = presuming(dsn=True)
    (event,) = client.receive(b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
    assert event == Mispresumed(frozenset({"DSN"}))
    assert transaction.is_in_doubt


@pytest.mark.parametrize(
    "answers",
    [
        b"250-mx.example.net\r\n250 CHUNKING\r\n555 5.5.4 DSN?\r\n503 MAIL first\r\n503 no\r\n",
        b"550 not you\r\n503 EHLO first\r\n503 EHLO first\r\n500 what\r\n",
    ],
)
def test_refusals_of_what_was_presumed_are_not_the_message_s(answers: bytes) -> None:
    client, transaction = presuming(dsn=True)
    (event,) = client.receive(answers)
    assert isinstance(event, Mispresumed)
    assert transaction.statuses == [None]
    assert client.unfinished == (transaction,)


@pytest.mark.parametrize(
    "answer",
    [
        b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
        b"555 no NOTIFY\r\n503 no MAIL\r\n503 no MAIL\r\n",
        b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
        b"250 s\r\n555 no NOTIFY\r\n554 no recipients\r\n",
        b"250-mx.example.net\r\n250 PIPELINING\r\n250 s\r\n250 r\r\n500 BDAT?\r\n500 what?\r\n",
    ],
)
def test_what_is_refused_since_we_presumed_too_much_is_no_answer_to_the_message(
    answer: bytes,
) -> None:
    """All of it may come at once: it must not be returned to its sender."""
    client, transaction = presuming(dsn=True)
    (event,) = client.receive(answer)
    assert isinstance(event, Mispresumed)
    assert not transaction.is_finished
    assert not transaction.is_in_doubt


def test_a_message_that_is_accepted_all_the_same_is_accepted() -> None:
    client, transaction = presuming(dsn=True)
    answer = (
        b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n250 s\r\n250 r\r\n250 taken\r\n"
    )
    _, event = client.receive(answer)
    assert event == Finished(transaction)


def test_a_recipient_refused_for_a_parameter_is_asked_for_again_where_others_are_taken() -> None:
    client, transaction = presuming(dsn=True, two=True)
    answer = (
        b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
        b"250 s\r\n555 no NOTIFY\r\n250 r\r\n250 taken\r\n"
    )
    _, event = client.receive(answer)
    assert event == Finished(transaction)
    refused, taken = transaction.statuses
    assert refused is not None and refused.is_temporary
    assert taken is not None and taken.is_success


def test_our_own_name_as_the_servers_is_a_loop_even_then() -> None:
    client, _ = presuming()
    (event,) = client.receive(b"250-pc.lan\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
    assert not isinstance(event, Ready)
    assert client.state is State.CLOSED


def test_content_that_may_be_taken_for_commands_waits() -> None:
    client = Client("pc.lan")
    client.receive(GREETING)
    client.hello(OFFERED)
    bad = b"x\r\nMAIL FROM:<evil@example.org>\r\n"
    client.begin(Transaction(None, "a@example.org", [Recipient("b@example.net")], len(bad)))
    assert not client.may_send(bad)
    client.receive(b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
    assert client.may_send(bad)


def test_extensions_that_do_not_work_are_not_seen() -> None:
    client = Client("pc.lan", without={"CHUNKING"})
    client.receive(GREETING)
    client.hello()
    client.receive(b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
    assert client.extensions == {"PIPELINING": ""}


@pytest.mark.parametrize("before", [b"", b"250 s\r\n", b"250 s\r\n250 r\r\n"])
def test_goodbye_is_no_answer_to_a_message(before: bytes) -> None:
    client, transaction = presuming()
    client.receive(b"250-mx.example.net\r\n250-CHUNKING\r\n250 PIPELINING\r\n" + before)
    client.quit()
    with pytest.raises(RemoteProtocolError, match="goodbye"):
        client.receive(b"221 bye\r\n")
    assert transaction.is_in_doubt


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ("RCPTMAX=100", 100),
        ("mailmax=2 rcptmax=7", 7),
        ("RCPTMAX=0", None),
        ("RCPTMAX=-4", None),
        ("RCPTMAX=²", None),
        ("RCPTMAX", None),
        ("", None),
    ],
)
def test_how_many_recipients_a_server_takes(limits: str, most: int | None) -> None:
    client = Client("pc.lan")
    client.receive(GREETING)
    client.hello()
    client.receive(b"250-mx.example.net\r\n250 LIMITS " + limits.encode() + b"\r\n")
    assert client.max_recipients == most
