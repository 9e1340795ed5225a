"""What filters answer: a verdict that ends the step, or at the end of a message what to change.

A filter is trusted with the mail, not with this program: what it sends is checked before it is
used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.mail.status import Status
from relaynode.milter.packets import split_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.milter.packets import Packet


class Kind(Enum):
    """How a step ended, by its letter (SMFIR_...)."""

    CONTINUE = b"c"
    ACCEPT = b"a"
    REJECT = b"r"
    TEMPFAIL = b"t"
    DISCARD = b"d"
    REPLY = b"y"
    SKIP = b"s"
    CONNECTION_FAILURE = b"f"
    SHUTDOWN = b"4"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a step ended. `status`: of a REPLY, what to tell the client."""

    kind: Kind
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """It is still at work."""


@dataclass(frozen=True, slots=True)
class AddHeader:
    """A field more, behind the others."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """A field more, behind the first `index` ones; ours of Received is the first."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """Another value for the `index`th field of this name, counted from 1; b"" takes it away."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """The next piece of the body that takes the place of the old one."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """Somebody more shall have it. `path` as the filter wrote it."""

    path: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteRecipient:
    """Somebody shall not have it."""

    path: str


@dataclass(frozen=True, slots=True)
class ChangeFrom:
    """Another reverse-path."""

    path: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The message is to be held, for this reason."""

    reason: str


HeaderEdit = AddHeader | InsertHeader | ChangeHeader
Modification = HeaderEdit | ReplaceBody | AddRecipient | DeleteRecipient | ChangeFrom | Quarantine
Answer = Verdict | Progress | Modification

_FIELD_NAME = re.compile(rb"[!-9;-~]{1,255}\Z")
_REPLY = re.compile(r"([45][0-9]{2})(?:[ -]|\Z)")
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|\Z)")


def parse(packet: Packet) -> Answer:
    """What a packet says. Raises: RemoteProtocolError."""
    parser = _PARSERS.get(packet.code)
    if parser is None:
        raise RemoteProtocolError(f"answer {packet.code.decode('latin-1')!a} is unknown")
    return parser(packet.data)


def _reply_code(data: bytes) -> Verdict:
    """`550 5.7.1 text`, or several such lines. libmilter doubles each %."""
    text = _one(data).decode("utf-8", "backslashreplace").replace("%%", "%")
    codes, enhanced, words = [], "", []
    for line in text.splitlines():
        found = _REPLY.match(line)
        if found is None:
            raise RemoteProtocolError(f"no reply for a client: {line[:80]!a}")
        codes.append(int(found[1]))
        rest = line[found.end() :]
        if (its := _ENHANCED.match(rest)) and its[1][0] == line[0]:
            enhanced, rest = enhanced or its[1], rest[its.end() :]
        words.append(rest.strip())
    if not codes:
        raise RemoteProtocolError("an empty reply for a client")
    return Verdict(Kind.REPLY, Status(codes[0], enhanced, " ".join(filter(None, words))))


def _one(data: bytes) -> bytes:
    """The one text of a packet; some filters leave its NUL out."""
    return data.partition(b"\0")[0]


def _field(data: bytes) -> tuple[bytes, bytes]:
    found = split_texts(data)
    if len(found) != 2 or not _FIELD_NAME.match(found[0]):
        raise RemoteProtocolError("a header field without name and value")
    return found[0], found[1]


def _indexed(data: bytes) -> tuple[int, bytes, bytes]:
    if len(data) < 4:
        raise RemoteProtocolError("a header field without its place")
    return int.from_bytes(data[:4], "big"), *_field(data[4:])


def _paths(data: bytes) -> tuple[str, tuple[str, ...]]:
    path, *parameters = split_texts(data) or [b""]
    words = (" ".join(_text(one) for one in parameters)).split()
    return _text(path), tuple(words)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _reason(data: bytes) -> str:
    shown = "".join(char if char.isprintable() else " " for char in _text(_one(data))[:500])
    return " ".join(shown.split()) or "quarantined"


_PARSERS: dict[bytes, Callable[[bytes], Answer]] = {
    **{kind.value: (lambda data, kind=kind: Verdict(kind)) for kind in Kind},  # type: ignore[misc]
    b"y": _reply_code,
    b"p": lambda data: Progress(),
    b"h": lambda data: AddHeader(*_field(data)),
    b"i": lambda data: InsertHeader(*_indexed(data)),
    b"m": lambda data: ChangeHeader(*_indexed(data)),
    b"b": ReplaceBody,
    b"+": lambda data: AddRecipient(_text(_one(data))),
    b"2": lambda data: AddRecipient(*_paths(data)),
    b"-": lambda data: DeleteRecipient(_text(_one(data))),
    b"e": lambda data: ChangeFrom(*_paths(data)),
    b"q": lambda data: Quarantine(_reason(data)),
}
