"""What untagged responses tell: from values to events (RFC 3501 section 7, RFC 4731)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.imap.events import (
    Exists,
    Found,
    Item,
    MessageData,
    MessageEnd,
    MessageStart,
    NotThere,
)
from relaynode.imap.limits import MAX_CAPABILITIES, MAX_LISTING_ITEMS
from relaynode.imap.values import Atom, Streamed, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.imap.events import Events
    from relaynode.imap.reader import ContentStart
    from relaynode.imap.values import Value

_CONTENT = re.compile(
    rb"(?:BODY|BINARY)\[([^\]]*)\](?:<(\d{1,10})>)?|RFC822(?:\.(HEADER|TEXT))?", re.IGNORECASE
)
_MAX_SIZE = 2**63 - 1  # RFC 9051: number64


def word(values: Sequence[Value], place: int) -> bytes:
    """The atom at a place, in upper case; b"" for anything else."""
    value = values[place] if len(values) > place else None
    return value.upper() if isinstance(value, Atom) else b""


def capabilities(words: Sequence[bytes]) -> frozenset[str]:
    """Names as the server has them, in upper case. Raises: RemoteProtocolError."""
    if len(words) > MAX_CAPABILITIES:
        raise RemoteProtocolError(f"the server has more than {MAX_CAPABILITIES} capabilities")
    return frozenset(one.decode("ascii", "replace").upper() for one in words)


def exists(values: Sequence[Value]) -> Exists:
    """`* 3 EXISTS`"""
    return Exists(number(values[0]))


# --- FETCH


@dataclass(slots=True)
class _Fetch:
    uid: int | None = None
    size_bytes: int | None = None
    flags: frozenset[str] | None = None


def fetch(values: Sequence[Value], streamed: Sequence[ContentStart]) -> Events:
    """`* 3 FETCH (...)`, whole. `streamed`: the content that was handed on out of it.

    Raises: RemoteProtocolError.
    """
    items = values[2] if len(values) == 3 else None
    if not isinstance(items, list) or len(items) % 2:
        raise RemoteProtocolError("the server sent a FETCH that makes no sense")
    told = _Fetch()
    contents: list[tuple[bytes, int, Value]] = []
    for name, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(name, Atom):
            raise RemoteProtocolError("the server sent a FETCH that makes no sense")
        if (content := _CONTENT.fullmatch(name)) is not None:
            section = (content[1] or content[3] or b"").upper()
            contents.append((section, int(content[2] or 0), value))
        else:
            _note(told, name.upper(), value)
    if len(contents) > 1:
        raise RemoteProtocolError("the server sent two contents where one was asked for")
    events: Events = []
    for section, origin, value in contents:
        events += _content(told.uid, section, origin, value, streamed)
    if told.uid is not None and (told.size_bytes is not None or told.flags is not None):
        events.append(Item(told.uid, told.size_bytes, told.flags))
    return events


def _note(told: _Fetch, name: bytes, value: Value) -> None:
    if name == b"UID":
        told.uid = number(value)
    elif name == b"RFC822.SIZE":
        told.size_bytes = number(value, most=_MAX_SIZE)
    elif name == b"FLAGS":
        flags = value if isinstance(value, list) else []
        told.flags = frozenset(
            one.decode("ascii", "replace").lower() for one in flags if isinstance(one, Atom)
        )


def _content(
    uid: int | None, section: bytes, origin: int, value: Value, streamed: Sequence[ContentStart]
) -> Events:
    if uid is None:
        raise RemoteProtocolError("the server sent content and did not say of which message")
    name = section.decode("ascii", "replace")
    if isinstance(value, Streamed):
        if any(start.uid not in (None, uid) for start in streamed):
            raise RemoteProtocolError("the server gave two UIDs to one message")
        return [MessageEnd(uid, name, origin, value.size_bytes)]
    if value is None:
        return [NotThere(uid)]
    if isinstance(value, (list, Atom)):
        raise RemoteProtocolError("the server sent something else where content must be")
    size = len(value)
    data: Events = [MessageData(value)] if value else []
    return [
        MessageStart(uid, name, origin, size),
        *data,
        MessageEnd(uid, name, origin, size),
    ]


# --- SEARCH


def found(text: bytes) -> list[Found]:
    """Numbers of a SEARCH as it has them, runs taken together. Raises: RemoteProtocolError."""
    runs: list[list[int]] = []
    for one in text.split():
        uid = number(Atom(one))
        if runs and runs[-1][1] + 1 == uid:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return [Found(first, last) for first, last in runs]


def extended(values: Sequence[Value]) -> list[Found]:
    """`* ESEARCH (TAG "a7") UID ALL 1:20,30`. Raises: RemoteProtocolError."""
    for name, value in pairwise(values):
        if isinstance(name, Atom) and name.upper() == b"ALL" and isinstance(value, Atom):
            return [_range(part) for part in value.split(b",")]
    return []


def _range(part: bytes) -> Found:
    first, _, last = part.partition(b":")
    ends = sorted((number(Atom(first)), number(Atom(last or first))))
    if ends[1] - ends[0] >= MAX_LISTING_ITEMS:
        raise RemoteProtocolError(f"the server has found more than {MAX_LISTING_ITEMS} messages")
    return Found(*ends)
