"""The header of a message as bytes: where it ends, which fields it has, taking fields out.

Works on content in wire form (RFC 5322 section 2.1: lines end with CRLF; a bare CR or LF is part of
its line). Nothing is parsed and written anew: a field is a pair of offsets, and all bytes that
nobody asked to change stay as they are, folding, spelling and 8-bit bytes included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_HEADER_BYTES = 65536
"""How much of a message header editing ever sees; what lies behind it passes untouched."""

CRLF = b"\r\n"

# RFC 5322 2.2, with the blanks before the colon that 4.5 tolerates. Like sendmail, a line that
# begins with "--" is no field: it is the boundary of a MIME body whose header has lost its end.
_NAME = re.compile(rb"(?!--)([!-9;-~]++)[ \t]*+:")
# All of a field: its lines go on behind a CRLF with a blank, and over a bare CR. (The group is not
# possessive: Python 3.11.2 goes wrong there.)
_FIELD = re.compile(
    rb"(?!--)([!-9;-~]++)([ \t]*+:)[^\r]*+(?:\r(?:(?!\n)|\n[ \t])[^\r]*+)*(?:\r\n)?"
)
# What may still become the empty line or a field when more bytes come.
_UNFINISHED = re.compile(rb"\r|(?!--)[!-9;-~]++[ \t]*+")
_REMEMBERED_BYTES = 16 * 1024
_EMPTY_LINE = b"\r\n\r\n"
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class Field(NamedTuple):
    """One header field, as offsets into the header it was found in.

    `header[start:end]` is all of it with folded lines and the final CRLF (which the last one may
    lack); `header[value_start:end]` is the raw value behind the colon. `name` is as written.
    """

    start: int
    end: int
    name: bytes
    value_start: int

    def is_named(self, name: bytes) -> bool:
        """Whether this is the field `name`, upper and lower case being the same."""
        return self.name.lower() == name.lower()


@dataclass(frozen=True, slots=True)
class Head:
    """The part of a message that header editing may touch.

    `content[:end]` holds whole fields and, if the message has one, the empty line. `separator` is
    what must be sent behind it: CRLF where a line that is no field ended the header without an
    empty line, else nothing.
    """

    end: int
    separator: bytes


def fields(header: bytes) -> Iterator[Field]:
    """All fields, in order, up to the first line that is neither a field nor a continuation."""
    if len(header) > _REMEMBERED_BYTES:
        return _found(header)
    return iter(_remembered(header))


# One message's header is asked about many times on its way in: how long it is, what it lacks, who
# its recipients are.
@lru_cache(maxsize=8)
def _remembered(header: bytes) -> tuple[Field, ...]:
    return tuple(_found(header))


@lru_cache(maxsize=8)
def _remembered_names(header: bytes) -> tuple[bytes, ...]:
    return tuple(field.name.lower() for field in _remembered(header))


def names(header: bytes) -> tuple[bytes, ...]:
    """The names of all fields in lower case, in order."""
    if len(header) > _REMEMBERED_BYTES:
        return tuple(field.name.lower() for field in _found(header))
    return _remembered_names(header)


def _found(header: bytes) -> Iterator[Field]:
    position = 0
    while match := _FIELD.match(header, position):
        yield Field(position, match.end(), match[1], match.end(2))
        position = match.end()


def begins_field(line: bytes) -> bool:
    """Whether this is the first line of a field."""
    return _NAME.match(line) is not None


def find_header_end(content: bytes) -> int:
    """Where the bytes of the body begin; `len(content)` if there is no body.

    The empty line belongs to the header. A line that is neither a field nor the continuation of
    one ends the header as well, as in sendmail, and is itself the first line of the body. So a
    text without any header is all body (0), and a continuation cannot come first.
    """
    return len(header_of(content))


def header_of(content: bytes) -> bytes:
    """The bytes of the header, as `find_header_end` has it."""
    # Nothing behind the first empty line matters, and the bytes before it are what will be asked
    # about again: so they are looked through once.
    empty_line = content.find(_EMPTY_LINE)
    start = content if empty_line < 0 else content[: empty_line + len(_EMPTY_LINE)]
    end = _fields_end(start)
    return start[: end + 2 if start.startswith(CRLF, end) else end]


def _fields_end(content: bytes) -> int:
    if len(content) <= _REMEMBERED_BYTES:
        found = _remembered(content)
        return found[-1].end if found else 0
    end = 0
    for field in _found(content):
        end = field.end
    return end


def locate(prefix: bytes, *, is_whole: bool) -> Head:
    """What may be edited, given the first bytes of a message.

    `prefix`: the first MAX_HEADER_BYTES of the content, or all of it (`is_whole`). Where the header
    is longer than that, its last field is left out, since its end was not seen.
    """
    end = find_header_end(prefix)
    if end > _fields_end(prefix):
        return Head(end, b"")
    if is_whole:
        return Head(end, CRLF if end < len(prefix) else b"")
    if end == len(prefix):
        return Head(_last_field_start(prefix), b"")
    return Head(end, b"" if _UNFINISHED.fullmatch(prefix, end) else CRLF)


def _last_field_start(header: bytes) -> int:
    start = 0
    for field in fields(header):
        start = field.start
    return start


def first_value(header: bytes, name: bytes) -> bytes | None:
    """The value of the first field `name`, unfolded and stripped; None if there is none."""
    found = names(header)
    if (name := name.lower()) not in found:
        return None
    number = found.index(name)
    return unfolded(header, next(islice(fields(header), number, None)))


def unfolded(header: bytes, field: Field) -> bytes:
    """The value of one field, unfolded and stripped."""
    return _FOLD.sub(b"", header[field.value_start : field.end]).strip()


def has(header: bytes, name: bytes) -> bool:
    """Whether there is a field `name`."""
    return name.lower() in names(header)


def count(header: bytes, name: bytes) -> int:
    """How many fields `name` there are."""
    return names(header).count(name.lower())


def remove(header: bytes, names: Iterable[bytes]) -> bytes:
    """The header without any field of these names; all other bytes are the same."""
    unwanted = {name.lower() for name in names}
    kept: list[bytes] = []
    position = 0
    for field in fields(header):
        if field.name.lower() in unwanted:
            kept.append(header[position : field.start])
            position = field.end
    kept.append(header[position:])
    return b"".join(kept)
