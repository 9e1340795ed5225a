r"""How two systems tell who they are and what they speak, between login and line protocol.

    called   ^PShere=NAME\0
    caller   ^PSNAME [-Qn] [-pX -vgrade=X] [-R] [-U0xn] [-Nnnn]\0
    called   ^PROK...\0 or a refusal, ^Pletters\0
    caller   ^PUletter\0, or ^PUN\0 if no protocol is common

Both sides are told as stories: generators that pause for the next message. What stands behind the
last message of a side belongs to the line protocol.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.commands import printable
from relaynode.uucp.features import BARE, NONE, OURS, Features, from_number
from relaynode.uucp.names import is_system_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

MESSAGE_SECONDS = 120.0
"""How long each message is waited for."""

MAX_MESSAGE_BYTES = 1024
MAX_NOISE_BYTES = 65536
"""So much may come that is no message (a system's greetings, noise) before we give up."""

START = 0x10
_ENDS = re.compile(rb"[\0\n\r]")
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,15}|0[0-7]{0,15}|[1-9][0-9]{0,15}")
_LETTERS = re.compile(r"[A-Za-z]*")
_BLOCK_BYTES = 512
_CUT_LENGTHS = (7, 14)


class Verdict(Enum):
    """Why there is no conversation. The value is the message, where there is a fixed one."""

    LOCKED = "LCK"
    CALL_BACK = "CB"
    BAD_SEQUENCE = "BADSEQ"
    WRONG_LOGIN = "LOGIN"
    UNKNOWN = "You are unknown to me"
    OTHER = ""
    """The called side refuses in words of its own."""
    WRONG_SYSTEM = "wrong system"
    """The caller has reached somebody else."""
    NO_PROTOCOL = "no common protocol"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Both know each other. `peer_name` is the peer's own name for itself.

    `max_bytes`: the largest file that the peer can take. `worst_grade`: the peer wants no jobs
    that are less urgent.
    """

    peer_name: str
    protocol: str
    features: Features = NONE
    max_bytes: int | None = None
    worst_grade: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """There will be no conversation. `text` is the peer's, safe to log."""

    verdict: Verdict
    text: str = ""
    peer_name: str = ""


Result = Agreement | Refusal


def names_match(stated: str, known: str) -> bool:
    """Whether a stated name may be `known`: old systems cut names at 7 or 14 characters."""
    if stated == known:
        return True
    return len(stated) in _CUT_LENGTHS and known[: len(stated)] == stated


def frame(text: str) -> bytes:
    """A message as it goes over the line."""
    return bytes((START,)) + text.encode("ascii", "replace") + b"\0"


class _Messages:
    """Finds messages in a stream. High bits are cleared: lines may set them for parity."""

    def __init__(self) -> None:
        self.rest = bytearray()
        self._noise_bytes = 0

    def take(self) -> str | None:
        """The next message; None if it is not whole. Raises: RemoteProtocolError."""
        self._skip_noise()
        end = _ENDS.search(self.rest.translate(_SEVEN_BITS)) if self.rest else None
        if end is None:
            if len(self.rest) > MAX_MESSAGE_BYTES:
                raise RemoteProtocolError("a message without an end in the handshake")
            return None
        text = bytes(self.rest[1 : end.start()]).translate(_SEVEN_BITS)
        del self.rest[: end.end()]
        # A start in the middle begins the message anew.
        return text.rpartition(bytes((START,)))[2].decode("ascii")

    def _skip_noise(self) -> None:
        start = self.rest.translate(_SEVEN_BITS).find(START)
        noise_bytes = len(self.rest) if start < 0 else start
        self._noise_bytes += noise_bytes
        del self.rest[:noise_bytes]
        if self._noise_bytes > MAX_NOISE_BYTES:
            raise RemoteProtocolError("no message of the handshake among much else")


class Handshake:
    """One side of the handshake. Feed bytes, take bytes; `result` comes when it is over.

    Raises from receive: RemoteProtocolError; from tick: LineLost.
    """

    def __init__(self, now: float) -> None:
        self.result: Result | None = None
        self._messages = _Messages()
        self._outgoing = bytearray()
        self._ends_at = now + MESSAGE_SECONDS
        self._story = self._tell()
        next(self._story)

    def _tell(self) -> Generator[None, str, Result]:
        raise NotImplementedError

    def _say(self, text: str) -> None:
        self._outgoing += frame(text)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer."""
        self._messages.rest += data
        while self.result is None and (message := self._messages.take()) is not None:
            self._ends_at = now + MESSAGE_SECONDS
            try:
                self._story.send(message)
            except StopIteration as stop:
                self.result = stop.value

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    @property
    def rest(self) -> bytes:
        """What came behind the last message, once there is a result."""
        return bytes(self._messages.rest)

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called."""
        return self._ends_at if self.result is None else None

    def tick(self, now: float) -> None:
        """Raises: LineLost if the peer has been silent for too long."""
        if self.result is None and now >= self._ends_at:
            raise LineLost("the peer fell silent in the handshake")


# --- the caller


@dataclass(frozen=True, slots=True)
class CallerSettings:
    """What a caller says, and whom it wants to reach.

    `peer_names`: the name of the neighbour and its aliases. `protocols`: our letters, best first.
    `sequence`: the number of this conversation, if the two count them. `worst_grade`: the called
    side shall send no jobs that are less urgent.
    """

    own_name: str
    peer_names: tuple[str, ...]
    protocols: str
    features: Features = OURS
    sequence: int | None = None
    worst_grade: str | None = None


class CallerHandshake(Handshake):
    """The caller's side."""

    def __init__(self, settings: CallerSettings, now: float) -> None:
        self._settings = settings
        super().__init__(now)

    def _tell(self) -> Generator[None, str, Result]:
        greeting = yield from self._awaited("Shere")
        stated = greeting.removeprefix("=").strip()
        if stated and not any(names_match(stated, name) for name in self._settings.peer_names):
            return Refusal(Verdict.WRONG_SYSTEM, printable(stated), stated)
        peer_name = stated or self._settings.peer_names[0]
        self._say(self._introduction())
        verdict = yield from self._awaited("R")
        if not verdict.startswith("OK"):
            return Refusal(_verdict(verdict), printable(verdict), peer_name)
        told = _told_by_called(verdict)
        offered = yield from self._awaited("P")
        return self._chosen(peer_name, offered, told)

    def _awaited(self, start: str) -> Generator[None, str, str]:
        """The rest of a message that must begin with `start`."""
        message = yield
        if not message.startswith(start):
            raise RemoteProtocolError(f"{printable(message[:60])} instead of {start} at the start")
        return message.removeprefix(start)

    def _introduction(self) -> str:
        """Taylor's order of options."""
        settings = self._settings
        words = [f"S{settings.own_name}"]
        if settings.sequence is not None:
            words.append(f"-Q{settings.sequence}")
        if settings.worst_grade is not None:
            words.append(f"-p{settings.worst_grade} -vgrade={settings.worst_grade}")
        if settings.features & Features.RESTART:
            words.append("-R")
        if settings.features:
            words.append(f"-N{_octal(settings.features)}")
        return " ".join(words)

    def _chosen(self, peer_name: str, offered: str, told: _Told) -> Result:
        letters = [letter for letter in self._settings.protocols if letter in offered]
        if not letters:
            self._say("UN")
            return Refusal(Verdict.NO_PROTOCOL, f"theirs are {printable(offered)}", peer_name)
        self._say(f"U{letters[0]}")
        return Agreement(
            peer_name, letters[0], told.features & _usable(self._settings.features), told.max_bytes
        )


def _octal(features: Features) -> str:
    return f"0{features.value:02o}"


def _usable(ours: Features) -> Features:
    """The peer's way of writing sizes is its own affair, whatever we have announced."""
    return ours | Features.DECIMAL | Features.DUMMY


def _verdict(text: str) -> Verdict:
    known = {verdict.value: verdict for verdict in list(Verdict)[:5]}
    return known.get(text.strip(), Verdict.OTHER)


@dataclass(slots=True)
class _Told:
    """What the options of a peer say."""

    features: Features = NONE
    has_number: bool = False
    has_bare: bool = False
    restarts: bool = False
    max_bytes: int | None = None
    worst_grade: str | None = None
    sequence: int | None = None


def _told_by_called(verdict: str) -> _Told:
    """OK, OKN, OKNnnn, each perhaps with options."""
    word, _, options = verdict.partition(" ")
    told = _told(options.split())
    if word.startswith("OKN"):
        _take_features(told, word.removeprefix("OKN"))
    return told


def _told(options: Iterable[str]) -> _Told:
    told = _Told()
    for option in options:
        if option.startswith("-v"):
            _take_long(told, option[2:])
        elif option[:1] == "-":
            _take_option(told, option[1:2], option[2:])
    return told


def _take_option(told: _Told, letter: str, argument: str) -> None:
    match letter:
        case "N":
            _take_features(told, argument)
        case "R":
            told.restarts = True
            told.features |= Features.RESTART
        case "U":
            _take_max(told, argument)
        case "Q":
            told.sequence = int(argument) if re.fullmatch("[0-9]{1,15}", argument) else None
        case "p":
            _take_grade(told, argument)


def _take_long(told: _Told, text: str) -> None:
    name, _, value = text.partition("=")
    if name == "grade":
        _take_grade(told, value)


def _take_grade(told: _Told, argument: str) -> None:
    if re.fullmatch("[0-9A-Za-z]", argument):
        told.worst_grade = argument


def _take_features(told: _Told, argument: str) -> None:
    if not argument:
        told.has_bare = True
        told.features |= BARE
    elif (number := _number(argument)) is not None:
        told.has_number = True
        told.features |= from_number(number)


def _take_max(told: _Told, argument: str) -> None:
    """SVR4: the largest file in blocks. Who says that also writes `dummy` before sizes."""
    number = _number(argument)
    if number is None:
        return
    told.max_bytes = number * _BLOCK_BYTES
    if not told.has_number:
        told.features |= Features.SIZES | Features.DUMMY


def _number(text: str) -> int | None:
    """A number in C's notation; None if it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)


# --- the called side


class Gate(Protocol):
    """Who may talk to us. Each question is asked at most once, in this order.

    After `lock` has granted, the lock is held until the one who drives the call releases it,
    whatever comes of the handshake.
    """

    def known_as(self, stated: str) -> str | None:
        """The neighbour that calls itself `stated` (see names_match); None if there is none."""
        ...

    def login_fits(self, name: str) -> bool:
        """Whether this neighbour may use the login that the caller has used."""
        ...

    def calls_back(self, name: str) -> bool:
        """Whether we call this neighbour back instead; if so that is noted now."""
        ...

    def lock(self, name: str) -> bool:
        """Take the one session that we have with this neighbour; False if it is taken."""
        ...

    def expected_sequence(self, name: str) -> int | None:
        """The number that the conversation must have; None if they are not counted."""
        ...

    def count_sequence(self, name: str) -> None:
        """The caller knew the number: expect the next one from now on."""
        ...

    def protocols(self, name: str) -> str:
        """The letters that this neighbour is offered; "" for the usual ones."""
        ...


@dataclass(frozen=True, slots=True)
class CalledSettings:
    """What a called system says. `protocols`: the letters usually offered, our best first."""

    own_name: str
    protocols: str
    features: Features = OURS


class CalledHandshake(Handshake):
    """The called side. `neighbour` is our name for the caller, once known."""

    def __init__(self, settings: CalledSettings, gate: Gate, now: float) -> None:
        self._settings = settings
        self._gate = gate
        self.neighbour = ""
        super().__init__(now)

    def _tell(self) -> Generator[None, str, Result]:
        self._say(f"Shere={self._settings.own_name}")
        message = yield
        words = message.split()
        if not words or not words[0].startswith("S") or not is_system_name(words[0][1:]):
            raise RemoteProtocolError(f"{printable(message[:60])} is no introduction of a caller")
        stated, told = words[0][1:], _told(words[1:])
        if (refusal := self._refusal(stated, told)) is not None:
            self._say(f"R{refusal.verdict.value}")
            return refusal
        self._say(f"R{self._acceptance(told)}")
        letters = self._gate.protocols(self.neighbour) or self._settings.protocols
        self._say(f"P{letters}")
        return (yield from self._choice(stated, told, letters))

    def _choice(self, stated: str, told: _Told, letters: str) -> Generator[None, str, Result]:
        choice = yield
        if choice == "UN":
            return Refusal(Verdict.NO_PROTOCOL, "the caller has none of ours", stated)
        if len(choice) != 2 or choice[0] != "U" or choice[1] not in letters:
            raise RemoteProtocolError(f"{printable(choice[:60])} is no protocol of ours")
        features = told.features & _usable(self._settings.features)
        return Agreement(stated, choice[1], features, told.max_bytes, told.worst_grade)

    def _refusal(self, stated: str, told: _Told) -> Refusal | None:
        """The first reason not to talk."""
        name = self._gate.known_as(stated)
        if name is None:
            return Refusal(Verdict.UNKNOWN, "", stated)
        self.neighbour = name
        if not self._gate.login_fits(name):
            return Refusal(Verdict.WRONG_LOGIN, "", stated)
        if self._gate.calls_back(name):
            return Refusal(Verdict.CALL_BACK, "", stated)
        is_locked = self._gate.lock(name)
        knows_number = self._sequence_fits(name, told.sequence)
        if not is_locked:
            return Refusal(Verdict.LOCKED, "", stated)
        if not knows_number:
            text = "no sequence number" if told.sequence is None else "out of sequence"
            return Refusal(Verdict.BAD_SEQUENCE, text, stated)
        return None

    def _sequence_fits(self, name: str, stated: int | None) -> bool:
        # It is counted up even where the call is then refused: the caller has counted too.
        expected = self._gate.expected_sequence(name)
        if expected is None:
            return True
        if stated != expected:
            return False
        self._gate.count_sequence(name)
        return True

    def _acceptance(self, told: _Told) -> str:
        """In the form in which the caller has stated its own features."""
        if told.has_number:
            return f"OKN{_octal(self._settings.features)}"
        if told.has_bare:
            return "OKN"
        return "OK -R" if told.restarts and self._settings.features & Features.RESTART else "OK"
