"""Messages out of what a UUCP neighbour's mail command was given: one for rmail, or a batch.

Nothing is decided here about who gets them but this: a message that cannot be delivered (cut off,
too large, without a recipient) is kept with the reason, so that its sender is told. All of it waits
for the disk, and belongs into a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import EX_DATAERR, AddressError, RelaynodeError
from relaynode.mail.bangpath import read_path, seen_from
from relaynode.mail.bsmtp import (
    BatchMessage,
    BatchReader,
    BatchRecipient,
    Began,
    Cut,
    Ended,
    Piece,
    Unreadable,
    WithoutContent,
)
from relaynode.mail.lines import ToCrlf
from relaynode.mail.rmail import MAX_OPENING_BYTES, read_opening
from relaynode.mail.status import Status, permanent
from relaynode.mail.unpacking import CutOff, TooLarge, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relaynode.mail.bsmtp import Event
    from relaynode.queue.content import Content
    from relaynode.sources.intake import Collector

MAX_BATCH_MESSAGES = 10_000
"""In one batch: they are queued at one moment, so all of them are held at once."""

_UNPACKED_TIMES = 2
"""How much longer than a message a batch may be: one that is too long is refused alone."""


class BadBatch(RelaynodeError):
    """There is no mail in it."""

    exit_code = EX_DATAERR


@dataclass(slots=True)
class Incoming:
    """A message on its way in. `message`: its envelope. `refusal`: why nobody gets it, or None.
    `is_too_large`: no more of it is kept."""

    message: BatchMessage
    collector: Collector
    refusal: Status | None = None
    is_too_large: bool = False


@dataclass(slots=True)
class Mail:
    """What there was. `loss`: why there may have been more than can be told, "" if not."""

    messages: list[Incoming] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    loss: str = ""

    def discard(self) -> None:
        """Forget all of it."""
        for one in self.messages:
            one.collector.discard()


class IncomingReader:
    """Reads mail that `neighbour` brought ("": nobody knows who). `collector`: a place for the
    content of one more message. `max_bytes`: of one message, as it came."""

    def __init__(self, neighbour: str, collector: Callable[[], Collector], max_bytes: int) -> None:
        self.mail = Mail()
        self._neighbour = neighbour
        self._collector = collector
        self._max_bytes = max_bytes
        self._is_open = False

    def rmail(self, recipients: Sequence[str], content: Content) -> None:
        """The one message for rmail. Raises: BadOpening, StoreError."""
        start = content.head(MAX_OPENING_BYTES + 1)
        opening = read_opening(start, self._neighbour, is_whole=len(start) == content.size_bytes)
        assert opening is not None, "what is longer than these lines may be is an error"
        good, refused = _paths(recipients)
        message = BatchMessage(opening.reverse_path, good, refused=refused)
        self._begin(message)
        to_crlf = ToCrlf()
        for piece in content.pieces(opening.size_bytes):
            self._write(to_crlf.feed(piece))

    def batch(self, content: Content) -> None:
        """The messages of a batch, packed or not.

        Raises: BadBatch, UnpackError, NoZstd, if none of it may be delivered; StoreError.
        """
        reader = BatchReader()
        loss = ""
        try:
            for piece in unpacked(content.pieces(), _UNPACKED_TIMES * self._max_bytes):
                self._take(reader.feed(piece))
                if self.mail.loss:
                    break
        except (CutOff, TooLarge) as error:
            # All that was whole by then is; of the rest nobody knows who sent it.
            loss = "" if reader.has_quit else str(error)
        if not self.mail.loss:
            self.mail.loss = loss
            self._take(reader.finish())
        self.mail.remarks = reader.remarks
        if not self.mail.messages and not self.mail.loss and not reader.has_quit:
            said = f": {reader.remarks[0]}" if reader.remarks else ""
            raise BadBatch(f"this is no batch of mail{said}")

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Began(message):
                    self._begin(self._as_seen_here(message))
                case Piece(data):
                    self._write(data)
                case Ended():
                    self._is_open = False
                case WithoutContent(message):
                    self._begin(self._as_seen_here(message))
                    self._refuse(permanent("The message came without any text", "5.6.0"))
                    self._is_open = False
                case Cut():
                    self._cut()
                case Unreadable(reason):
                    self._lose(reason)
            if len(self.mail.messages) > MAX_BATCH_MESSAGES:
                self._lose(f"more than {MAX_BATCH_MESSAGES} messages in a batch")
                return

    def _as_seen_here(self, message: BatchMessage) -> BatchMessage:
        return replace(message, reverse_path=seen_from(message.reverse_path, self._neighbour))

    def _begin(self, message: BatchMessage) -> None:
        self.mail.messages.append(Incoming(message, self._collector()))
        self._is_open = True
        if message.complaint:
            self._refuse(permanent(f"The batch is wrong: {message.complaint}", "5.5.0"))

    def _write(self, data: bytes) -> None:
        one = self.mail.messages[-1]
        if one.is_too_large:
            return
        if one.collector.size_bytes + len(data) <= self._max_bytes:
            one.collector.write(data)
            return
        one.is_too_large = True
        one.collector.write(data[: self._max_bytes - one.collector.size_bytes])
        text = f"Message is too large; {self._max_bytes} bytes max"
        self._refuse(permanent(text, "5.3.4", 552))
        self._keep_head()

    def _keep_head(self) -> None:
        """Of a message that goes back, its start is enough."""
        one = self.mail.messages[-1]
        head = one.collector.head
        one.collector.discard()
        one.collector = self._collector()
        one.collector.write(head)

    def _cut(self) -> None:
        why = self.mail.loss or "the batch ends in its middle"
        self._refuse(permanent(f"The message was cut off on its way: {why}", "5.6.0"))
        self.mail.loss = why
        self._is_open = False

    def _lose(self, reason: str) -> None:
        self.mail.loss = reason
        if self._is_open:
            self._cut()

    def _refuse(self, status: Status) -> None:
        one = self.mail.messages[-1]
        one.refusal = one.refusal or status
        one.message = replace(one.message, ret="HDRS")


def _paths(
    words: Iterable[str],
) -> tuple[tuple[BatchRecipient, ...], tuple[tuple[str, str], ...]]:
    """The recipients of a command line, and those words that are none, and why."""
    good, refused = [], []
    for word in words:
        try:
            path = read_path(word)
            if not path:
                raise AddressError("a recipient cannot be the null path")
            good.append(BatchRecipient(path))
        except AddressError as error:
            refused.append((word, str(error)))
    return tuple(good), tuple(refused)
