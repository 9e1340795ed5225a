"""The commands and replies of a UUCP conversation, as values and as bytes.

    S from to user -options temp mode notify [dummy] [size]      send a file
    E from to user -options temp mode notify size command...     send data for a command
    R from to user -options [limit]                              fetch a file
    X from to user -options                                      have files sent elsewhere
    H                                                            hang up?

Each is answered by its letter with Y or N; CY and CN follow a file. Nothing here knows what may be
granted: that names lead nowhere bad is the matter of names.py.

Texts are bytes of unknown character set: they are decoded as the operating system decodes file
names (UTF-8, what is not valid as lone surrogates), so that they can be given back unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.uucp.features import NONE, Features
from relaynode.uucp.line import MAX_COMMAND_BYTES

MAX_FIELD_BYTES = 1024
"""The longest name, user or option text that is taken from a peer."""

NO_LIMIT = 0xFFFF_FFFF
"""A limit in R from here on means that there is none; Taylor sends as many f as its machine has."""

_MAX_SIZE = 0xFFFF_FFFF_FFFF_FFFF
_DEFAULT_MODE = 0o666
# What would end a field or a line of a log.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNQUOTED = re.compile(r"[\x00-\x20\x7f\\]")
_ESCAPE = re.compile(rb"\\(\\|[0-7]{3})")
_NUMBER = re.compile(rb"0[xX][0-9a-fA-F]{1,16}|0[0-7]*|[1-9][0-9]{0,19}")
# Decimal numbers that old systems send where they mean octal.
_MEANT_OCTAL = frozenset((666, 777, 644, 755, 600, 700, 664, 775))


class Code(IntEnum):
    """Why a request is refused: the number behind N in a reply."""

    NOT_PERMITTED = 2
    CANNOT_CREATE = 4
    NOT_STORED = 5
    TOO_LARGE_NOW = 6
    TOO_LARGE = 7
    RECEIVED_BEFORE = 8
    NO_CHANNEL = 9
    TOO_LARGE_SVR4 = 10
    UNKNOWN = 0
    """A number that nobody has defined, or none."""

    @property
    def is_for_ever(self) -> bool:
        """Whether it is useless to ask again."""
        return self not in _MAY_PASS


_MAY_PASS = frozenset((Code.CANNOT_CREATE, Code.TOO_LARGE_NOW, Code.NO_CHANNEL))


# --- commands


@dataclass(frozen=True, slots=True)
class Send:
    """S: `target` shall become what `source` is here.

    `temp` names the copy in the sender's spool: it is the key by which a broken or doubled transfer
    is recognised. `size` is None where the peer did not tell.
    """

    source: str
    target: str
    user: str
    options: str = ""
    temp: str = "D.0"
    mode: int = _DEFAULT_MODE
    notify: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Execute:
    """E: the data is the standard input of `command`, which shall be run."""

    source: str
    target: str
    user: str
    options: str = ""
    temp: str = "D.0"
    mode: int = _DEFAULT_MODE
    notify: str = ""
    size: int | None = None
    command: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """R: send us `source`, we shall call it `target`. `limit`: the most bytes wanted."""

    source: str
    target: str
    user: str
    options: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteCopy:
    """X: send all files that match `source` to `target`, perhaps of another system."""

    source: str
    target: str
    user: str
    options: str = ""


@dataclass(frozen=True, slots=True)
class HangUp:
    """H: the master has no more work."""


# --- replies


@dataclass(frozen=True, slots=True)
class Granted:
    """SY, EY: send the file, from `position` on."""

    letter: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """SN, EN, RN, XN: no."""

    letter: str
    code: Code = Code.UNKNOWN


@dataclass(frozen=True, slots=True)
class FetchGranted:
    """RY: the file follows."""

    mode: int = _DEFAULT_MODE
    size: int | None = None
    wants_turn: bool = False


@dataclass(frozen=True, slots=True)
class CopyGranted:
    """XY: the files will be sent later."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """CY: the file is stored. `wants_turn` (CYM): give the peer the master's role soon."""

    wants_turn: bool = False


@dataclass(frozen=True, slots=True)
class NotStored:
    """CN: the file came, but could not be put where it belongs."""

    code: Code = Code.NOT_STORED


@dataclass(frozen=True, slots=True)
class HangUpReply:
    """HY: agreed; HN: no, it is our turn now."""

    is_agreed: bool


@dataclass(frozen=True, slots=True)
class Garbled:
    """A command whose letter is known and whose fields make no sense. `reason` is safe to log."""

    letter: str
    reason: str


Request: TypeAlias = Send | Execute | Fetch | RemoteCopy
Reply: TypeAlias = (
    Granted | Refused | FetchGranted | CopyGranted | Confirmed | NotStored | HangUpReply
)
Spoken: TypeAlias = Request | HangUp | Reply | Garbled

_REQUEST_LETTERS = "SERX"


def to_text(data: bytes) -> str:
    """The text of a field; no byte is lost."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """What to_text was given."""
    return text.encode("utf-8", "surrogateescape")


def printable(text: str | bytes) -> str:
    """A peer's text for a log: one line of ASCII, with escapes for the rest."""
    data = text if isinstance(text, bytes) else to_bytes(text)
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in data)


# --- parsing


def parse(text: bytes) -> Spoken:
    """What the peer has said. A request that makes no sense is Garbled.

    Raises: RemoteProtocolError for anything that is neither command nor reply.
    """
    if len(text) > MAX_COMMAND_BYTES:
        raise RemoteProtocolError(f"a command of {len(text)} bytes")
    text = text.rstrip(b"\r\n")
    letter = chr(text[0]) if text else ""
    if letter in _REQUEST_LETTERS and text[1:2] in (b" ", b"\t"):
        try:
            return _parse_request(letter, text)
        except _Senseless as senseless:
            return Garbled(letter, str(senseless))
    if text == b"H":
        return HangUp()
    if (reply := _parse_reply(text)) is not None:
        return reply
    raise RemoteProtocolError(f"neither a command nor a reply: {printable(text[:60])}")


class _Senseless(Exception):
    """The fields of a request make no sense."""


def _parse_send(text: bytes) -> Send:
    """S from to user -options temp mode [notify [size]], or [notify dummy size] from SVR4."""
    fields = text.split()
    common = _Common(fields)
    size = fields[9] if len(fields) > 9 else fields[8] if len(fields) > 8 else None
    return Send(*common.names, *common.stored, common.notify, _optional_size(size))


def _parse_execute(text: bytes) -> Execute:
    """E from to user -options temp mode notify size command..."""
    fields = text.split(None, 9)
    if len(fields) < 10:
        raise _Senseless("a field is missing")
    common = _Common(fields)
    command = _checked(_unquoted(fields[9]) if common.is_quoted else fields[9], MAX_COMMAND_BYTES)
    size = _optional_size(fields[8])
    return Execute(*common.names, *common.stored, common.notify, size, command)


def _parse_fetch(text: bytes) -> Fetch:
    """R from to user -options [limit]"""
    fields = text.split()
    limit = _optional_size(fields[5]) if len(fields) > 5 else None
    if limit is not None and limit >= NO_LIMIT:
        limit = None
    return Fetch(*_Common(fields).names, limit)


def _parse_copy(text: bytes) -> RemoteCopy:
    """X from to user -options"""
    return RemoteCopy(*_Common(text.split()).names)


def _parse_request(letter: str, text: bytes) -> Request:
    match letter:
        case "S":
            return _parse_send(text)
        case "E":
            return _parse_execute(text)
        case "R":
            return _parse_fetch(text)
        case _:
            return _parse_copy(text)


class _Common:
    """The fields that requests have in common."""

    def __init__(self, fields: list[bytes]) -> None:
        if len(fields) < 5:
            raise _Senseless("a field is missing")
        self._fields = fields
        options = _checked(fields[4], MAX_FIELD_BYTES)
        if not options.startswith("-"):
            raise _Senseless("options do not begin with -")
        self.is_quoted = "q" in options
        source, target, user = (self._text(field) for field in fields[1:4])
        self.names = (source, target, user, options[1:].replace("q", ""))

    def _text(self, field: bytes) -> str:
        return _checked(_unquoted(field) if self.is_quoted else field, MAX_FIELD_BYTES)

    @property
    def stored(self) -> tuple[str, int]:
        """Name of the copy, and mode."""
        if len(self._fields) < 7:
            raise _Senseless("a field is missing")
        return _checked(self._fields[5], MAX_FIELD_BYTES), _mode(self._fields[6])

    @property
    def notify(self) -> str:
        field = self._fields[7] if len(self._fields) > 7 else b""
        return "" if field == b'""' else self._text(field)


def _checked(field: bytes, most: int) -> str:
    text = to_text(field)
    if len(field) > most:
        raise _Senseless("a field is too long")
    if _CONTROL.search(text):
        raise _Senseless("a control character in a field")
    return text


def _unquoted(field: bytes) -> bytes:
    return _ESCAPE.sub(_unescaped, field)


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return escape if escape == b"\\" else bytes((int(escape, 8) & 0xFF,))


def _number(field: bytes) -> int:
    """A number in C's notation."""
    if not _NUMBER.fullmatch(field):
        raise _Senseless("a wrong number")
    if field[:2] in (b"0x", b"0X"):
        return int(field, 16)
    return int(field, 8 if field.startswith(b"0") else 10)


def _mode(field: bytes) -> int:
    mode = _number(field)
    return (int(str(mode), 8) if mode in _MEANT_OCTAL and field[:1] != b"0" else mode) & 0o777


def _optional_size(field: bytes | None) -> int | None:
    if field is None:
        return None
    size = _number(field)
    if size > _MAX_SIZE:
        raise _Senseless("an impossible size")
    return size


_REPLY = re.compile(rb"([SERXCH])([YN])([0-9]{0,2})(M?)((?:[ \t].*)?)", re.DOTALL)


def _parse_reply(text: bytes) -> Reply | None:
    match = _REPLY.fullmatch(text)
    if match is None:
        return None
    letter, is_yes, more = match[1].decode(), match[2] == b"Y", match[5].split()
    wants_turn = match[4] == b"M"
    try:
        if not is_yes:
            return _parse_no(letter, match[3])
        return _parse_yes(letter, more, wants_turn)
    except _Senseless as senseless:
        raise RemoteProtocolError(f"{senseless} in a reply: {printable(text[:60])}") from None


def _parse_no(letter: str, number: bytes) -> Reply:
    if letter == "H":
        return HangUpReply(False)
    value = int(number or b"0")
    code = Code(value) if value in set(Code) else Code.UNKNOWN
    return NotStored(code) if letter == "C" else Refused(letter, code)


def _parse_yes(letter: str, more: list[bytes], wants_turn: bool) -> Reply:
    if letter == "H":
        return HangUpReply(True)
    if letter == "C":
        return Confirmed(wants_turn)
    if letter == "X":
        return CopyGranted()
    if letter == "R":
        return _parse_fetch_granted(more, wants_turn)
    return Granted(letter, _number(more[0]) if more else 0)


def _parse_fetch_granted(more: list[bytes], wants_turn: bool) -> FetchGranted:
    """RY [mode[M] [size]]"""
    if not more:
        return FetchGranted(wants_turn=wants_turn)
    mode = more[0].removesuffix(b"M")
    size = _number(more[1]) if len(more) > 1 else None
    return FetchGranted(_mode(mode), size, wants_turn or mode != more[0])


# --- formatting


def format_request(request: Request, features: Features = NONE) -> bytes:
    """The bytes of a request, as a peer with these features understands it.

    Raises: LocalProtocolError if this peer cannot be told: a name with a blank without QUOTES, an
    execution without EXECUTE, a command too long.
    """
    if isinstance(request, Execute) and not features & Features.EXECUTE:
        raise LocalProtocolError("the neighbour does not know the command E")
    is_quoted = _needs_quotes(request)
    if is_quoted:
        if not features & Features.QUOTES:
            raise LocalProtocolError("the neighbour cannot be told a name with a blank in it")
        request = replace(request, options=request.options + "q")
    text = to_bytes(_FORMATTERS[type(request)](request, features, is_quoted))
    if len(text) > MAX_COMMAND_BYTES or b"\0" in text:
        raise LocalProtocolError("a command too long, or with a NUL, for the wire")
    return text


def _needs_quotes(request: Request) -> bool:
    names = [request.source, request.target, request.user]
    if isinstance(request, Send | Execute):
        names.append(request.notify)
    return any(map(_UNQUOTED.search, names))


def _names(request: Request, is_quoted: bool) -> str:
    quoted = _quoted if is_quoted else str
    names = " ".join(quoted(name) for name in (request.source, request.target, request.user))
    return f"{names} -{request.options}"


def _quoted(text: str) -> str:
    return _UNQUOTED.sub(
        lambda match: "\\\\" if match[0] == "\\" else f"\\{ord(match[0]):03o}", text
    )


def _format_send(request: Request, features: Features, is_quoted: bool) -> str:
    assert isinstance(request, Send)
    head = f"S {_names(request, is_quoted)} {request.temp} {request.mode:04o}"
    notify = _quoted(request.notify) if is_quoted else request.notify
    if not features & Features.SIZES or request.size is None:
        return f"{head} {notify} "
    dummy = "dummy " if features & Features.DUMMY else ""
    return f"{head} {notify or _EMPTY} {dummy}{format_size(request.size, features)}"


_EMPTY = '""'


def _format_execute(request: Request, features: Features, is_quoted: bool) -> str:
    assert isinstance(request, Execute)
    notify = _quoted(request.notify) if is_quoted else request.notify
    # Taylor unquotes the command too, so its backslashes must be doubled.
    command = request.command.replace("\\", "\\\\") if is_quoted else request.command
    size = format_size(request.size or 0, features)
    return (
        f"E {_names(request, is_quoted)} {request.temp} {request.mode:04o} "
        f"{notify or _EMPTY} {size} {command}"
    )


def _format_fetch(request: Request, features: Features, is_quoted: bool) -> str:
    assert isinstance(request, Fetch)
    text = f"R {_names(request, is_quoted)}"
    if not features & Features.SIZES or features & Features.DUMMY:
        return text
    limit = _MAX_SIZE if request.limit is None else request.limit
    if features & Features.DECIMAL:
        limit = min(limit, NO_LIMIT)
    return f"{text} {format_size(limit, features)}"


def _format_copy(request: Request, features: Features, is_quoted: bool) -> str:
    return f"X {_names(request, is_quoted)}"


_FORMATTERS = {
    Send: _format_send,
    Execute: _format_execute,
    Fetch: _format_fetch,
    RemoteCopy: _format_copy,
}


def format_size(size: int, features: Features) -> str:
    """A size as the peer reads it."""
    return str(size) if features & Features.DECIMAL else f"0x{size:x}"


def format_reply(reply: Reply, features: Features = NONE) -> bytes:
    """The bytes of a reply."""
    match reply:
        case Granted(letter, 0):
            text = f"{letter}Y"
        case Granted(letter, position):
            text = f"{letter}Y 0x{position:x}"
        case Refused("X", _):
            text = "XN"
        case Refused(letter, code):
            text = f"{letter}N{code.value or 2}"
        case FetchGranted(mode, size, _):
            text = f"RY {mode:04o}"
            if size is not None and features & Features.SIZES:
                text += f" {format_size(size, features)}"
        case CopyGranted():
            text = "XY"
        case Confirmed(wants_turn):
            text = "CYM" if wants_turn else "CY"
        case NotStored():
            text = "CN5"
        case HangUpReply(is_agreed):
            text = "HY" if is_agreed else "HN"
    return text.encode()
