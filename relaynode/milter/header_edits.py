"""Changes of a header, field by field: bytes that no filter touches stay as they are.

Filters count fields as sendmail does: places do not move when a field is taken away, and of the
whole list ours of Received is number 0, though they never see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.mail.header import CRLF, fields
from relaynode.milter.replies import AddHeader, ChangeHeader, InsertHeader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.milter.replies import HeaderEdit


_OURS = (b"", b"")
"""Stands for our line of Received. No field has that name."""


class EditedHeader:
    """A header that is being changed: `above`, our line of Received, and `below`, each in whole
    fields, without the empty line. `keeps_blank`: whether values bring the blank behind the colon
    with them."""

    def __init__(self, above: bytes, below: bytes, *, keeps_blank: bool) -> None:
        self._keeps_blank = keeps_blank
        self._lines = [*_divided(above), _OURS, *_divided(below)]

    @property
    def above(self) -> bytes:
        """The fields above ours, as they are now."""
        return _joined(self._lines[: self._lines.index(_OURS)])

    @property
    def below(self) -> bytes:
        """The fields below it."""
        return _joined(self._lines[self._lines.index(_OURS) + 1 :])

    def apply(self, edits: Iterable[HeaderEdit]) -> None:
        """Make the changes, in their order."""
        for edit in edits:
            match edit:
                case AddHeader(name, value):
                    self._lines.append((name.lower(), self._line(name, value)))
                case InsertHeader(index, name, value):
                    self._lines.insert(index, (name.lower(), self._line(name, value)))
                case ChangeHeader():
                    self._change(edit)

    def _change(self, edit: ChangeHeader) -> None:
        """Like sendmail's, one that there is not is added, unless it is to be taken away."""
        line = self._line(edit.name, edit.value) if edit.value else b""
        name, left = edit.name.lower(), max(edit.index, 1)
        for place, (its, old) in enumerate(self._lines):
            left -= its == name
            if its == name and left == 0:
                self._lines[place] = its, self._spelled(old, edit.name, line)
                return
        if line:
            self._lines.append((name, line))

    def _spelled(self, old: bytes, name: bytes, line: bytes) -> bytes:
        """A field that is changed keeps the spelling of its name."""
        its = old[: len(name)]
        return its + line[len(name) :] if line and its.lower() == name.lower() else line

    def _line(self, name: bytes, value: bytes) -> bytes:
        """A field. A line of the value that would begin another field is made to go on instead."""
        lines = value.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n").split(b"\n")
        first, *more = lines
        blank = b"" if self._keeps_blank else b" "
        folded = [line if line[:1] in (b" ", b"\t") else b"\t" + line for line in more]
        return (
            CRLF.join([name + b":" + blank + first, *(one for one in folded if one.strip())]) + CRLF
        )


def _divided(text: bytes) -> list[tuple[bytes, bytes]]:
    """Name in lower case, and all of the field."""
    return [(one.name.lower(), text[one.start : one.end]) for one in fields(text)]


def _joined(lines: list[tuple[bytes, bytes]]) -> bytes:
    kept = (line for _, line in lines if line)
    return b"".join(line if line.endswith(CRLF) else line + CRLF for line in kept)
