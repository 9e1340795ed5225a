r"""Chat scripts: expect this, send that, as Taylor UUCP writes them.

    "" \r\c ogin:-BREAK-ogin: \L word: \P

Expected and sent texts alternate. An expected text may hold further tries, `expect-send-expect`:
when the first does not come in time, send, and expect again. A sent text is followed by CR, unless
it ends with \c; a pause or a break in it has its place in the order.

The engine takes bytes and time and gives bytes and actions. It logs in where we call, and talks to
modems.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from relaynode.uucp.events import BreakWanted, CarrierWanted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

LOGIN_SECONDS = 10.0
"""How long a login chat expects each text."""
DIAL_SECONDS = 60.0
"""The same for a modem."""
ECHO_SECONDS = 5.0
"""How long the echo of a character is waited for."""

LONG_PAUSE_SECONDS = 1.5
SHORT_PAUSE_SECONDS = 0.25

MAX_TEXT_BYTES = 1024
"""The longest text that can be expected; the engine remembers no more than that of what came."""

_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_END_OF_TRANSMISSION = b"\x04"


# --- what a sent text is made of


@dataclass(frozen=True, slots=True)
class _Bytes:
    data: bytes


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class _EchoCheck:
    is_on: bool


_Part: TypeAlias = _Bytes | _Pause | _EchoCheck | BreakWanted | CarrierWanted


@dataclass(frozen=True, slots=True)
class _Expected:
    """One text to wait for. `seconds` is None for the chat's own time-out."""

    text: bytes
    seconds: float | None = None


class ChatError(ValueError):
    """A chat script that cannot be understood. str() says where."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    r"""A script, and what it is given.

    `script`: the words, alternately expected and sent, beginning with an expected one. `values`:
    what the escapes stand for that are letters of one's own ("L" login, "P" password, "D" number,
    "T" translated number, "Y" device, "S" speed, "Z" system). `fails_on`: texts that end the chat
    at once. `is_seven_bit`: high bits of what comes are not looked at.
    """

    script: Sequence[str]
    values: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = LOGIN_SECONDS
    fails_on: Sequence[str] = ()
    is_seven_bit: bool = True


@dataclass(frozen=True, slots=True)
class ChatResult:
    """How a chat ended. `reason` is empty if all went well; it holds no secrets."""

    reason: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the script came to its end."""
        return not self.reason


_SIMPLE = {
    "b": b"\b",
    "n": b"\n",
    "N": b"\0",
    "r": b"\r",
    "s": b" ",
    "t": b"\t",
    "\\": b"\\",
    "-": b"-",
}
_NUMERIC = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2}))")
_WAIT = re.compile(r"\\W([0-9]{1,5})$")


def unescape(word: str) -> bytes:
    """The bytes of a word in a call or passwd file, which may hold escapes. Raises: ChatError."""
    text, position = bytearray(), 0
    while position < len(word):
        data, position = _literal(word, position)
        text += data
    return bytes(text)


def _literal(word: str, position: int) -> tuple[bytes, int]:
    """One character or escape that stands for bytes, and where the next begins."""
    if word[position] != "\\":
        return word[position].encode("utf-8", "surrogateescape"), position + 1
    if match := _NUMERIC.match(word, position):
        number = int(match[1], 8) if match[1] else int(match[2], 16)
        return bytes((number & 0xFF,)), match.end()
    letter = word[position + 1 : position + 2]
    if letter in _SIMPLE and letter:
        return _SIMPLE[letter], position + 2
    raise ChatError(f"\\{letter} means nothing here: {word!r}")


def _expected(word: str) -> _Expected:
    seconds = None
    if match := _WAIT.search(word):
        seconds, word = float(match[1]), word[: match.start()]
    text = b"" if word == '""' else unescape(word)
    if len(text) > MAX_TEXT_BYTES:
        raise ChatError("an expected text is too long")
    return _Expected(text, seconds)


def _sent(word: str, values: Mapping[str, bytes]) -> list[_Part]:
    """The parts of a sent text, with the CR behind it."""
    if word == '""':
        return []
    if word == "BREAK":
        return [BreakWanted()]
    if word == "EOT":
        return [_Bytes(_END_OF_TRANSMISSION)]
    parts: list[_Part] = []
    position, has_cr = 0, True
    while position < len(word):
        letter = word[position + 1 : position + 2] if word[position] == "\\" else ""
        if letter == "c":
            has_cr, position = False, position + 2
            continue
        part, position = _sent_part(word, position, letter, values)
        parts.append(part)
    return [*_joined(parts), *([_Bytes(b"\r")] if has_cr else [])]


_ACTIONS: dict[str, _Part] = {
    "d": _Pause(LONG_PAUSE_SECONDS),
    "p": _Pause(SHORT_PAUSE_SECONDS),
    "e": _EchoCheck(False),
    "E": _EchoCheck(True),
    "K": BreakWanted(),
    "m": CarrierWanted(True),
    "M": CarrierWanted(False),
}


def _sent_part(
    word: str, position: int, letter: str, values: Mapping[str, bytes]
) -> tuple[_Part, int]:
    if letter and letter in _ACTIONS:
        return _ACTIONS[letter], position + 2
    if letter and letter in values:
        return _Bytes(values[letter]), position + 2
    data, position = _literal(word, position)
    return _Bytes(data), position


def _joined(parts: Iterable[_Part]) -> list[_Part]:
    """Neighbouring bytes in one part."""
    joined: list[_Part] = []
    for part in parts:
        if isinstance(part, _Bytes) and joined and isinstance(last := joined[-1], _Bytes):
            joined[-1] = _Bytes(last.data + part.data)
        else:
            joined.append(part)
    return joined


@dataclass(frozen=True, slots=True)
class _Exchange:
    """An expected text with its further tries, and what is sent when one of them has come."""

    expected: _Expected
    tries: tuple[tuple[list[_Part], _Expected], ...]
    sent: list[_Part]


def _exchanges(settings: ChatSettings) -> list[_Exchange]:
    words = list(settings.script)
    if len(words) % 2:
        words.append('""')
    return [_exchange(words[i], words[i + 1], settings.values) for i in range(0, len(words), 2)]


def _exchange(expected: str, sent: str, values: Mapping[str, bytes]) -> _Exchange:
    # A hyphen that is meant is written \055 or \-.
    first, *more = re.split(r"(?<!\\)-", expected)
    if len(more) % 2:
        raise ChatError(f"an expected text ends with a text to send: {expected!r}")
    tries = tuple((_sent(more[i], values), _expected(more[i + 1])) for i in range(0, len(more), 2))
    return _Exchange(_expected(first), tries, _sent(sent, values))


def check(script: Sequence[str], letters: str) -> None:
    """Whether a script can be understood whose own escapes are `letters`. Raises: ChatError."""
    _exchanges(ChatSettings(script, dict.fromkeys(letters, b"")))


class Chat:
    """A chat under way. Feed bytes, take bytes and actions; `result` comes when it is over.

    An action (a break, the carrier) has its place between the bytes: take `data_to_send` first,
    then do the actions that `receive` or `tick` gave; what is to be sent behind them comes later.
    Raises from the constructor: ChatError.
    """

    def __init__(self, settings: ChatSettings, now: float) -> None:
        self.result: ChatResult | None = None
        self._settings = settings
        self._fails_on = [unescape(text) for text in settings.fails_on]
        self._arrived = bytearray()
        self._outgoing = bytearray()
        self._parts: deque[_Part] = deque()
        self._checks_echo = False
        self._actions: list[BreakWanted | CarrierWanted] = []
        self._now = now
        self._ends_at: float | None = None
        self._story = self._tell(_exchanges(settings))
        self._go_on()

    # --- the driver's side

    def receive(self, data: bytes, now: float) -> list[BreakWanted | CarrierWanted]:
        """Take bytes from the peer; give actions to do."""
        self._now = now
        self._arrived += data
        return self._continue()

    def tick(self, now: float) -> list[BreakWanted | CarrierWanted]:
        """Time has passed."""
        self._now = now
        return self._continue()

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called."""
        if self._actions:
            return self._now
        return self._ends_at if self.result is None else None

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    @property
    def rest(self) -> bytes:
        """What came behind the last expected text, once the chat is over."""
        return bytes(self._arrived)

    # --- the story

    def _continue(self) -> list[BreakWanted | CarrierWanted]:
        if not self._actions:  # the constructor may have left one, to be done before anything else
            self._go_on()
        actions, self._actions = self._actions, []
        return actions

    def _go_on(self) -> None:
        if self.result is not None:
            return
        try:
            next(self._story)
        except StopIteration as stop:
            self.result = stop.value
            self._ends_at = None

    def _tell(self, exchanges: list[_Exchange]) -> Generator[None, None, ChatResult]:
        """Pauses whenever more bytes or more time are needed."""
        for exchange in exchanges:
            reason = yield from self._expect(exchange)
            if reason:
                return ChatResult(reason)
            reason = yield from self._send(exchange.sent)
            if reason:
                return ChatResult(reason)
        return ChatResult()

    def _expect(self, exchange: _Exchange) -> Generator[None, None, str]:
        """Why none of the expected texts came; empty if one did."""
        reason = yield from self._expect_text(exchange.expected)
        for sent, expected in exchange.tries:
            if reason != _TIMED_OUT:
                break
            if failure := (yield from self._send(sent)):
                return failure
            reason = yield from self._expect_text(expected)
        if reason == _TIMED_OUT:
            return f"timed out waiting for {exchange.expected.text!r}"
        return reason

    def _expect_text(self, expected: _Expected) -> Generator[None, None, str]:
        seconds = self._settings.seconds if expected.seconds is None else expected.seconds
        ends_at = self._ends_at = self._now + seconds
        while True:
            reason = self._look_for(expected.text)
            if reason is not None:
                return reason
            if self._now >= ends_at:
                return _TIMED_OUT
            yield

    def _look_for(self, text: bytes) -> str | None:
        """Empty if it has come, a reason if something bad came before it, None for neither."""
        if not text:
            return ""
        seen = self._seen()
        place = seen.find(text)
        bad = [(at, word) for word in self._fails_on if word and (at := seen.find(word)) >= 0]
        if bad and (place < 0 or min(bad)[0] < place):
            return f"the other side said {min(bad)[1]!r}"
        if place >= 0:
            del self._arrived[: place + len(text)]
            return ""
        del self._arrived[: max(0, len(self._arrived) - MAX_TEXT_BYTES)]
        return None

    def _seen(self) -> bytes:
        seen = bytes(self._arrived)
        return seen.translate(_SEVEN_BITS) if self._settings.is_seven_bit else seen

    def _send(self, parts: list[_Part]) -> Generator[None, None, str]:
        """Why a text could not be sent; empty if it was."""
        for part in parts:
            reason = ""
            match part:
                case _Bytes(data) if self._checks_echo:
                    reason = yield from self._send_with_echo(data)
                case _Bytes(data):
                    self._outgoing += data
                case _Pause(seconds):
                    yield from self._pause(seconds)
                case _EchoCheck(is_on):
                    self._checks_echo = is_on
                case action:
                    self._actions.append(action)
                    # What follows is for the time behind the action.
                    self._ends_at = self._now
                    yield
            if reason:
                return reason
        return ""

    def _pause(self, seconds: float) -> Generator[None, None, None]:
        ends_at = self._ends_at = self._now + seconds
        while self._now < ends_at:
            self._forget_old()
            yield

    def _send_with_echo(self, data: bytes) -> Generator[None, None, str]:
        """Each character must come back before the next is sent."""
        for byte in data:
            self._outgoing.append(byte)
            echo = bytes((byte & 0x7F,)) if self._settings.is_seven_bit else bytes((byte,))
            reason = yield from self._expect_text(_Expected(echo, ECHO_SECONDS))
            if reason == _TIMED_OUT:
                return "a character was not echoed"
            if reason:
                return reason
        return ""

    def _forget_old(self) -> None:
        del self._arrived[: max(0, len(self._arrived) - MAX_TEXT_BYTES)]


_TIMED_OUT = "timed out"
