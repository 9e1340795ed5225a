r"""The values of one response, read when it has come whole (RFC 3501 section 9).

    (UID 7 FLAGS (\Seen) BODY[]<0> {5}CRLFhello X "a \"b\"" NIL)

A literal stands between the pieces of text that surround it, as `Literal`, or as `Streamed` if it
was handed on and not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

from relaynode.errors import RemoteProtocolError
from relaynode.imap.limits import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence


class Atom(bytes):
    """An atom, a flag, a number, or the name of a body section with all that is in its brackets."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal that was kept."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Streamed:
    """A literal that was handed on."""

    size_bytes: int


Value: TypeAlias = Union[Atom, bytes, Streamed, "list[Value]", None]
"""Strings are plain bytes, NIL is None."""

_TOKEN = re.compile(
    rb"(?P<blank> +)"
    rb"|(?P<list>[()])"
    rb'|"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)"'
    rb"|(?P<atom>(?:\[[^\]]*\]|[^\x00-\x20\x7f()\"\[{])+)"
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def parse(parts: Sequence[bytes | Literal | Streamed]) -> list[Value]:
    """The values of a response in order. Raises: RemoteProtocolError."""
    found: list[Value] = []
    open_lists: list[list[Value]] = [found]
    for part in parts:
        if isinstance(part, Literal):
            open_lists[-1].append(part.data)
        elif isinstance(part, Streamed):
            open_lists[-1].append(part)
        else:
            _parse_text(part, open_lists)
    if len(open_lists) != 1:
        raise RemoteProtocolError("the server sent a list without its end")
    return found


def _parse_text(text: bytes, open_lists: list[list[Value]]) -> None:
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise RemoteProtocolError("the server sent a response that makes no sense")
        place = token.end()
        if token["atom"] is not None:
            atom = token["atom"]
            open_lists[-1].append(None if atom.upper() == b"NIL" else Atom(atom))
        elif token["quoted"] is not None:
            open_lists[-1].append(_ESCAPE.sub(rb"\1", token["quoted"]))
        elif token["list"] == b"(":
            _open(open_lists)
        elif token["list"] == b")":
            if len(open_lists) == 1:
                raise RemoteProtocolError("the server ended a list that was not begun")
            open_lists.pop()


def _open(open_lists: list[list[Value]]) -> None:
    if len(open_lists) > MAX_DEPTH:
        raise RemoteProtocolError(f"the server sent lists deeper than {MAX_DEPTH}")
    inner: list[Value] = []
    open_lists[-1].append(inner)
    open_lists.append(inner)


def number(value: Value, *, most: int = 2**32 - 1) -> int:
    """A number as it stands in a response. Raises: RemoteProtocolError."""
    if not isinstance(value, Atom) or not value.isdigit() or len(value) > 20 or int(value) > most:
        raise RemoteProtocolError("the server sent something else where a number must be")
    return int(value)
