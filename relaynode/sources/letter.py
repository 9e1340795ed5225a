"""A message on its way through the filters: what they see of it, and what they make of it.

The content stays where it is until a filter changes something that cannot stand in front of it.
Then it is written anew, piece by piece: header lines that nobody changed and the rest of the body
are copied as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.mail.header import CRLF, fields, locate
from relaynode.mail.lines import ToCrlf
from relaynode.milter.header_edits import EditedHeader
from relaynode.milter.replies import (
    AddHeader,
    AddRecipient,
    ChangeFrom,
    ChangeHeader,
    DeleteRecipient,
    InsertHeader,
    Quarantine,
    ReplaceBody,
)
from relaynode.queue.content import INLINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.milter.replies import HeaderEdit, Modification
    from relaynode.sources.intake import Collector, Intake

EnvelopeChange = AddRecipient | DeleteRecipient | ChangeFrom

_BLANK_END = CRLF + CRLF


@dataclass(slots=True)
class Letter:
    """`below`: the lines that we put in front of the content, under ours of Received; filters see
    them as the first of the header. `above`: what filters have put above that line. `envelope`:
    what they change there, in their order. `quarantine`: why they want it held, "" if not."""

    intake: Intake
    collector: Collector
    below: bytes
    max_size_bytes: int
    above: bytes = b""
    envelope: list[EnvelopeChange] = field(default_factory=list)
    quarantine: str = ""

    def parts(self) -> Parts:
        """Where the header and the body are."""
        prefix = self.collector.head
        head = locate(prefix, is_whole=self.collector.size_bytes <= len(prefix))
        header = prefix[: head.end]
        if header == CRLF or header.endswith(_BLANK_END):
            return Parts(header.removesuffix(CRLF), CRLF, head.end)
        return Parts(header, head.separator, head.end)

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        """Name and raw value of each field that filters see."""
        shown = self.above + self.below + self.parts().header
        for one in fields(shown):
            yield one.name, shown[one.value_start : one.end]

    def body(self) -> Iterator[bytes]:
        """The body in pieces. Raises: StoreFull, StoreError."""
        return self.collector.pieces(self.parts().body_start)

    def discard(self) -> None:
        """Forget the content."""
        self.collector.discard()


@dataclass(frozen=True, slots=True)
class Parts:
    """`header`: whole fields. `blank`: the empty line behind them, or what stands for it.
    `body_start`: an offset into the content."""

    header: bytes
    blank: bytes
    body_start: int


class Changes:
    """What one filter wants changed in a letter: gathered first, made when it has agreed."""

    def __init__(self, letter: Letter) -> None:
        self._letter = letter
        self._header: list[HeaderEdit] = []
        self._envelope: list[EnvelopeChange] = []
        self._quarantine = ""
        self._body: Collector | None = None
        self._lines = ToCrlf()

    def take(self, change: Modification) -> None:
        """One of them. Raises: RemoteProtocolError, StoreFull, StoreError."""
        match change:
            case AddHeader() | InsertHeader() | ChangeHeader():
                self._header.append(change)
            case AddRecipient() | DeleteRecipient() | ChangeFrom():
                self._envelope.append(change)
            case Quarantine(reason):
                self._quarantine = reason
            case ReplaceBody(data):
                self._replace(data)

    def _replace(self, data: bytes) -> None:
        letter = self._letter
        if self._body is None:
            self._body = letter.intake.another_collector(letter.collector.queue_id)
        self._body.write(self._lines.feed(data))
        if self._body.size_bytes > letter.max_size_bytes:
            raise RemoteProtocolError("a body larger than any message may be")

    @property
    def may_take_long(self) -> bool:
        """Is there perhaps a long message to be written anew?"""
        is_long = self._letter.collector.size_bytes > INLINE_BYTES
        return self._body is not None or (is_long and bool(self._header))

    def make(self, *, keeps_blank: bool) -> None:
        """Change the letter. `keeps_blank`: see EditedHeader. Raises: StoreFull, StoreError."""
        letter = self._letter
        letter.envelope += self._envelope
        letter.quarantine = letter.quarantine or self._quarantine
        parts = letter.parts()
        below = letter.below + parts.header
        edited = EditedHeader(letter.above, below, keeps_blank=keeps_blank)
        edited.apply(self._header)
        letter.above, text = edited.above, edited.below
        if self._body is None and text.endswith(parts.header):
            letter.below = text[: len(text) - len(parts.header)]
        else:
            self._write_anew(parts, text)

    def _write_anew(self, parts: Parts, header: bytes) -> None:
        letter, old = self._letter, self._letter.collector
        new = letter.intake.another_collector(old.queue_id)
        try:
            new.write(header + (parts.blank if self._body is None else CRLF))
            for piece in old.pieces(parts.body_start) if self._body is None else self._new_body():
                new.write(piece)
        except BaseException:
            new.discard()
            raise
        letter.collector, letter.below = new, b""
        old.discard()

    def _new_body(self) -> Iterator[bytes]:
        """With an end of its last line."""
        assert self._body is not None
        last = b""
        for last in self._body.pieces():
            yield last
        if last and not last.endswith(b"\n"):
            yield CRLF

    def discard(self) -> None:
        """Forget what is not needed any more."""
        if self._body is not None:
            self._body.discard()
            self._body = None
