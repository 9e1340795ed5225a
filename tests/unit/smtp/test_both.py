"""Our client against our server, over a line that cuts wherever it likes."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.envelope import Recipient
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Bye, ContentWanted, Finished, Greeted, Mode, Ready
from relaynode.smtp.transaction import Transaction
from unit.smtp.talk import Desk, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEADER = b"Subject: x\r\n\r\n"
CONTENTS = [
    HEADER + b"plain\r\n",
    HEADER + b".\r\n..\r\n...\r\n.x\r\nx.\r\n",
    b".\r\n",
    HEADER + b"y" * 998 + b"\r\n",
    HEADER + b"z" * 10_000 + b"\r\n",
    HEADER + bytes(byte for byte in range(256) if byte not in b"\r\n") + b"\r\n",
    HEADER + b"\r\n\r\n\r\n",
    b"",
]
WITHOUT_LINE_END = [HEADER + b"no line end", HEADER + b".", b".", b"\r\n.", b"x"]

# What must be missing from the answer to EHLO for each mode.
HIDDEN = {
    Mode.CHUNKED: [],
    Mode.PIPELINED: [b"250-CHUNKING\r\n"],
    Mode.LOCKSTEP: [b"250-CHUNKING\r\n", b"250-PIPELINING\r\n"],
}
ALL_MODES = pytest.mark.parametrize("mode", Mode, ids=lambda mode: mode.name)


class Talk:
    """A whole session: sends these transactions as fast as the mode allows, then QUIT.

    `chunk_bytes`: how many bytes the line carries at a time, either way.
    """

    def __init__(self, mode: Mode, chunk_bytes: Callable[[], int] = lambda: 1 << 20) -> None:
        self.mode = mode
        self.chunk_bytes = chunk_bytes
        self.client = Client("pc.lan")
        self.desk = Desk(max_size_bytes=1_000_000)
        self.finished: list[Transaction] = []
        self.contents: dict[int, bytes] = {}
        self.waiting: list[Transaction] = []
        self.most_in_flight = 0
        self.was_answered = False

    def add(self, content: bytes, *addresses: str, reverse_path: str = "alice@x") -> None:
        recipients = [Recipient(address) for address in addresses or ("bob@y",)]
        transaction = Transaction(None, reverse_path, recipients, len(content), is_8bit=True)
        self.contents[id(transaction)] = content
        self.waiting.append(transaction)

    def run(self) -> list[Transaction]:
        """Carry bytes until both are silent; the transactions in the order of their ends."""
        to_client = self._hidden(self.desk.says())
        to_server = b""
        while to_client or to_server:
            size = self.chunk_bytes()
            to_client += self._hidden(self.desk.says(to_server[:size]))
            to_server = to_server[size:]
            size = self.chunk_bytes()
            self._hear(to_client[:size])
            to_client = to_client[size:]
            to_server += self.client.data_to_send()
        assert self.was_answered
        self.client.peer_closed()
        return self.finished

    def _hidden(self, said: bytes) -> bytes:
        for line in HIDDEN[self.mode]:
            said = said.replace(line, b"")
        return said

    def _hear(self, data: bytes) -> None:
        for event in self.client.receive(data):
            match event:
                case Greeted():
                    self.client.hello()
                case Ready():
                    assert self.client.mode is self.mode
                case ContentWanted(transaction):
                    self._send(transaction)
                case Finished(transaction):
                    self.finished.append(transaction)
                case Bye():
                    self.was_answered = True
        while self.waiting and self.client.can_begin:
            transaction = self.waiting.pop(0)
            self.client.begin(transaction)
            self.most_in_flight = max(self.most_in_flight, len(self.client.unfinished))
            if self.client.wants_content:
                self._send(transaction)
        if not self.waiting and not self.client.unfinished and self.client.extensions:
            self.client.quit()

    def _send(self, transaction: Transaction) -> None:
        content = self.contents[id(transaction)]
        size = self.chunk_bytes()
        for start in range(0, len(content), size):
            self.client.send_content(content[start : start + size])
        self.client.end_content()


def by_rota(sizes: Sequence[int]) -> Callable[[], int]:
    """Chunks of these sizes, again and again."""
    return partial(next, cycle([*sizes, 300]))


SIZES = st.lists(st.integers(1, 40), max_size=6)


@ALL_MODES
@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 1 << 20])
def test_every_content_arrives_as_it_was(mode: Mode, chunk_bytes: int) -> None:
    talk = Talk(mode, lambda: chunk_bytes)
    for content in CONTENTS:
        talk.add(content)
    finished = talk.run()
    assert [status and status.code for one in finished for status in one.statuses] == [250] * 8
    assert talk.desk.messages == [Message("alice@x", ("bob@y",), content) for content in CONTENTS]


@ALL_MODES
@given(sizes=SIZES)
def test_a_session_cut_at_random_is_the_same_session(mode: Mode, sizes: list[int]) -> None:
    talk = Talk(mode, by_rota(sizes))
    for content in CONTENTS[:4] + CONTENTS[-2:]:
        talk.add(content)
    talk.run()
    assert [message.content for message in talk.desk.messages] == CONTENTS[:4] + CONTENTS[-2:]


@ALL_MODES
@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"a", b"\xff", b"\0"]), max_size=30).map(b"".join),
    SIZES,
)
def test_any_content_arrives_as_it_was(mode: Mode, content: bytes, sizes: list[int]) -> None:
    talk = Talk(mode, by_rota(sizes))
    talk.add(content)
    talk.add(HEADER)
    talk.run()
    if mode is not Mode.CHUNKED and content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    assert [message.content for message in talk.desk.messages] == [content, HEADER]


@pytest.mark.parametrize("content", WITHOUT_LINE_END)
def test_a_last_line_without_an_end_is_exact_only_through_bdat(content: bytes) -> None:
    for mode, expected in (
        (Mode.CHUNKED, content),
        (Mode.PIPELINED, content + b"\r\n"),
        (Mode.LOCKSTEP, content + b"\r\n"),
    ):
        talk = Talk(mode)
        talk.add(content)
        talk.run()
        assert [message.content for message in talk.desk.messages] == [expected]


@ALL_MODES
@pytest.mark.parametrize("bare", [b"a\nb\r\n", b"a\rb\r\n", b"\n.\n", b"\r\n.\n", b"\n"])
def test_a_bare_line_end_is_refused_and_the_next_message_goes_through(
    mode: Mode, bare: bytes
) -> None:
    talk = Talk(mode, lambda: 7)
    talk.add(HEADER)
    talk.add(HEADER + bare)
    talk.add(HEADER + b"after\r\n")
    finished = talk.run()
    answers = [str(one.statuses[0]).partition(":")[0] for one in finished]
    assert answers == ["250 2.0.0 Accepted", "554 5.6.0 Bare CR or LF in message", *answers[:1]]
    assert [message.content for message in talk.desk.messages] == [HEADER, HEADER + b"after\r\n"]


@ALL_MODES
@given(sizes=SIZES)
def test_refused_recipients_and_senders_disturb_nobody_else(mode: Mode, sizes: list[int]) -> None:
    talk = Talk(mode, by_rota(sizes))
    talk.add(HEADER, "nobody@y", "bob@y", "later@y")
    talk.add(HEADER, "nobody@y", "later@y")
    talk.add(HEADER, "bob@y", reverse_path="blocked@x")
    talk.add(HEADER, "bob@y", "carol@y", reverse_path="")
    finished = talk.run()
    assert [[status and status.code for status in one.statuses] for one in finished] == [
        [550, 250, 450],
        [550, 450],
        [550],
        [250, 250],
    ]
    assert talk.desk.messages == [
        Message("alice@x", ("bob@y",), HEADER),
        Message("", ("bob@y", "carol@y"), HEADER),
    ]


@ALL_MODES
def test_a_message_that_is_too_large_is_refused_and_the_next_goes_through(mode: Mode) -> None:
    talk = Talk(mode, lambda: 100_000)
    large = b"x" * 1_000_001
    talk.add(large)
    talk.add(HEADER)
    finished = talk.run()
    assert [status and status.code for one in finished for status in one.statuses] == [552, 250]
    assert [message.content for message in talk.desk.messages] == [HEADER]


def test_only_with_chunking_is_more_than_one_message_under_way() -> None:
    for mode, most in ((Mode.CHUNKED, 6), (Mode.PIPELINED, 2), (Mode.LOCKSTEP, 1)):
        talk = Talk(mode)
        for _ in range(6):
            talk.add(HEADER)
        talk.run()
        assert talk.most_in_flight == most
        assert len(talk.desk.messages) == 6
