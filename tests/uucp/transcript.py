"""A call as both sides said it: bytes of either direction become messages, commands and files.

How bytes are cut into packets, numbered and acknowledged is the sender's own choice; what is said
in them is not. So calls are compared by their transcripts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from relaynode.uucp.commands import (
    Confirmed,
    CopyGranted,
    FetchGranted,
    Granted,
    NotStored,
    Refused,
    parse,
)
from relaynode.uucp.line import MAIN, Closed, Command, Data, EndOfFile, Settings
from relaynode.uucp.lines.g_packet import DataPacket, PacketReader
from relaynode.uucp.lines.i_packet import NUMBERED, NUMBERS, Kind, Packet, Scanner
from relaynode.uucp.lines.j_packet import Unwrapper
from relaynode.uucp.protocols import make_line

CALLER, CALLED = "caller->called", "called->caller"
STREAMS = "tefy"
PACKETS = "gGvij"

_MESSAGE = re.compile(rb"\x10([^\0\n\r]*)[\0\n\r]")
_HANG_UP = re.compile(rb"\x10O{6,7}\0")


@dataclass(frozen=True)
class Said:
    """`kind`: message, command, file or verdict (of f, about a file).

    `request`: the command that a file belongs to. `channel`: what belongs together has the same
    one; 0 where there is only one.
    """

    kind: str
    content: bytes
    request: bytes = b""
    channel: int = field(default=0, compare=False)


class StreamEar:
    """Hears t, e, f and y, with the line itself."""

    def __init__(self, letter, is_caller):
        self._line = make_line(letter, Settings(is_caller=not is_caller))
        self._line.start(0)
        self._line.tick(0)
        self._letter = letter
        self._request = b""
        self._file = bytearray()

    def hear(self, data):
        events = self._line.receive(data, 0)
        while events:
            for event in events:
                yield from self._heard(event)
            events = self._line.receive(b"", 0)

    def _heard(self, event):
        match event:
            case Command(_, b"G" | b"R" | b"Q" as text) if self._letter == "f":
                yield Said("verdict", text)
            case Command(_, text):
                self._request = text
                yield Said("command", text)
            case Data(_, position, content):
                self._file[position:] = content
            case EndOfFile():
                yield Said("file", bytes(self._file), self._request)
                self._file.clear()
            case Closed():
                pass

    def expect_file(self):
        self._line.expect_file(MAIN, 0)


class GEar:
    """Hears g, G and v: packets, without the beginning and the end of the protocol."""

    def __init__(self, letter, is_caller):
        self._reader = PacketReader()
        self._last = 0
        self._is_file = False
        self._request = b""
        self._content = bytearray()

    def hear(self, data):
        for packet in self._reader.read(data):
            if isinstance(packet, DataPacket) and packet.number == (self._last + 1) % 8:
                self._last = packet.number
                yield from self._heard(packet.content)

    def _heard(self, content):
        self._content += content
        if self._is_file and not content:
            self._is_file = False
            yield Said("file", bytes(self._content), self._request)
            self._content.clear()
        elif not self._is_file and 0 in self._content:
            self._request = bytes(self._content).partition(b"\0")[0]
            yield Said("command", self._request)
            self._content.clear()

    def expect_file(self):
        self._is_file = True


class IEar:
    """Hears i. What belongs to one transfer is heard as one, however others come between."""

    def __init__(self, letter, is_caller):
        self._scanner = Scanner(is_caller=not is_caller)
        self._next = 1
        self._early = {}
        self._files = {}
        self._requests = {}
        self._commands = {}

    def hear(self, data):
        for packet in self._scanner.feed(data, 0):
            if isinstance(packet, Packet) and packet.kind in NUMBERED:
                yield from self._in_order(packet)

    def _in_order(self, packet):
        """Packets that were lost come again, behind later ones."""
        if (packet.number - self._next) % NUMBERS < NUMBERS // 2:
            self._early[packet.number] = packet
        while packet := self._early.pop(self._next, None):
            self._next = (self._next + 1) % NUMBERS
            if packet.kind is Kind.DATA:
                yield from self._heard((packet.local, packet.remote), packet.content)

    def _heard(self, channel, content):
        number = max(channel)
        if channel in self._files:
            self._files[channel] += content
            if not content:
                whole = bytes(self._files.pop(channel))
                yield Said("file", whole, self._requests[channel], number)
            return
        command = self._commands.pop(channel, b"") + content
        text, end, _ = command.partition(b"\0")
        if not end:
            self._commands[channel] = command
            return
        yield Said("command", text, channel=number)
        if text[:2] in (b"S ", b"E ", b"RY"):
            self._files[channel] = bytearray()
            self._requests[channel] = text

    def expect_file(self):
        pass  # it is clear from the channel


class JEar(IEar):
    """Hears j: i, wrapped."""

    def __init__(self, letter, is_caller):
        super().__init__(letter, is_caller)
        self._unwrapper = Unwrapper()

    def hear(self, data):
        return super().hear(self._unwrapper.feed(data, 0))


_EARS = {**dict.fromkeys(STREAMS, StreamEar), **dict.fromkeys("gGv", GEar), "i": IEar, "j": JEar}


@dataclass
class Voice:
    """One direction: what has been said, and what hears the line protocol in it."""

    direction: str
    said: list[Said] = field(default_factory=list)
    login: bytes = b""
    unread: bytes = b""
    ear: object = None
    has_hung_up: bool = False
    tail: bytes = b""


class Transcript:
    """Both directions of a call. Feed pieces in their order with `hear`."""

    def __init__(self):
        self._voices = {direction: Voice(direction) for direction in (CALLER, CALLED)}
        self.letter = None

    def hear(self, direction, data):
        voice = self._voices[direction]
        voice.tail = voice.tail[-20:] + data
        if self.letter and _HANG_UP.search(voice.tail):
            voice.has_hung_up = True
        if voice.ear is None:
            data = self._hear_handshake(voice, data)
        if voice.ear is not None:
            for one in voice.ear.hear(data):
                self._note(voice, one)

    def _hear_handshake(self, voice, data):
        """What comes before the line protocol; the rest of the bytes belongs to that."""
        voice.unread += data
        while voice.ear is None and (found := _MESSAGE.search(voice.unread)):
            voice.login += voice.unread[: found.start()]
            voice.unread = voice.unread[found.end() :]
            voice.said.append(Said("message", found[1]))
            self._choose(found[1])
        rest, voice.unread = (voice.unread, b"") if voice.ear else (b"", voice.unread)
        return rest

    def _choose(self, message):
        if re.fullmatch(rb"U[^N]", message):
            self.letter = message[1:].decode()
            for voice in self._voices.values():
                voice.ear = _EARS[self.letter](self.letter, voice.direction == CALLER)

    def _note(self, voice, one):
        other = self._voices[CALLED if voice.direction == CALLER else CALLER]
        if one == Said("verdict", b"R") and other.said[-1].kind == "file":
            other.said.pop()
            other.ear.expect_file()
        voice.said.append(one)
        if one.kind == "command" and one.content[:2] in (b"SY", b"EY"):
            other.ear.expect_file()
        if one.kind == "command" and one.content[:2] == b"RY":
            voice.ear.expect_file()

    def said(self, direction):
        """What a side said, in order."""
        return self._voices[direction].said

    def messages(self, direction):
        """What it said in the handshake, as texts."""
        return [one.content.decode() for one in self.said(direction) if one.kind == "message"]

    def commands(self, direction):
        """Its commands and replies, as they stand on the line."""
        return [one.content for one in self.said(direction) if one.kind == "command"]

    def exchanges(self, direction):
        """What it asked for, and what came of it."""
        own, others = self.said(direction), self.said(other(direction))
        return [_exchange(at, own, others) for at, one in enumerate(own) if _is_request(one)]

    def login(self, direction):
        """What it said before the handshake."""
        return self._voices[direction].login

    @property
    def is_full_duplex(self):
        """Whether several transfers go on at once."""
        return self.letter in ("i", "j")

    def has_hung_up(self, direction):
        """Whether it said its O's."""
        return self._voices[direction].has_hung_up


def transcript_of(pieces):
    """The transcript of (direction, bytes), in order."""
    transcript = Transcript()
    for direction, data in pieces:
        transcript.hear(direction, data)
    return transcript


def other(direction):
    """The other direction."""
    return CALLED if direction == CALLER else CALLER


@dataclass(frozen=True)
class Exchange:
    """A request, the answer to it, its file and what was said of that. All as values, or None.

    `is_late`: it was asked behind a promise to send files (XY).
    """

    request: object
    answer: object
    file: bytes | None
    word: object
    is_late: bool

    @property
    def is_refused(self):
        return isinstance(self.answer, Refused)


def _is_request(said):
    return said.kind == "command" and said.content[:2] in (b"S ", b"E ", b"R ", b"X ")


def _exchange(at, own, others):
    request, channel = own[at], own[at].channel
    earlier = sum(_is_request(one) and one.channel == channel for one in own[:at])
    is_fetch = request.content[:1] == b"R"
    answers = _spoken(others, channel, Granted | Refused | FetchGranted | CopyGranted)
    return Exchange(
        parse(request.content),
        _at(answers, earlier),
        _file_of(request, answers[: earlier + 1], others if is_fetch else own),
        _word_about(request, own[:at], own if is_fetch else others, answers[: earlier + 1]),
        any(one.content == b"XY" for one in own[:at]),
    )


def _at(found, place):
    return found[place] if place < len(found) else None


def _spoken(said, channel, kinds):
    """The commands and replies of these kinds on a channel."""
    commands = [one for one in said if one.kind == "command" and one.channel == channel]
    return [spoken for one in commands if isinstance(spoken := parse(one.content), kinds)]


def _file_of(request, answers, said):
    """The file of a request, from those that the side which had it has sent."""
    files = [one for one in said if one.kind == "file" and one.channel == request.channel]
    if request.content[:1] == b"R":
        served = [one.content for one in files if one.request[:2] == b"RY"]
        place = sum(isinstance(one, FetchGranted) for one in answers) - 1
        return _at(served, place) if answers and isinstance(answers[-1], FetchGranted) else None
    return next((one.content for one in files if one.request == request.content), None)


def _word_about(request, earlier, said, answers):
    """CY or CN about the file of a request."""
    is_fetch = request.content[:1] == b"R"
    granted = FetchGranted if is_fetch else Granted
    if not answers or not isinstance(answers[-1], granted):
        return None
    words = _spoken(said, request.channel, Confirmed | NotStored)
    return _at(words, sum(isinstance(one, granted) for one in answers) - 1)


def comparable(transcript, direction):
    """What a side has said behind the handshake, without what it may say as it likes."""
    refused = {one.request for one in transcript.exchanges(direction) if one.is_refused}
    found = []
    for one in transcript.said(direction):
        is_free = one.kind == "file" and parse(one.request) in refused
        if one.kind != "message" and not is_free:
            found.append(_without_position(one) if transcript.is_full_duplex else one)
    is_final = _speaks_to_the_void(transcript, direction)
    once = [one for at, one in enumerate(found) if one != _AGREED or one not in found[:at]]
    once = [one for one in once if one != _AGREED or not is_final]
    if transcript.is_full_duplex:  # the order of what belongs to several transfers is free
        return sorted(once, key=lambda one: (one.kind, one.content, one.request))
    return once


_AGREED = Said("command", b"HY")


def _speaks_to_the_void(transcript, direction):
    """Whether the HY of a side only answers the other's HY, in a protocol that has an end.

    The other one ends the protocol behind its own HY, and listens no more: whether an HY is said
    to that depends on whether the end has been seen yet. Without an end old slaves wait for it.
    """
    asked = transcript.commands(direction).count(b"H")
    denied = transcript.commands(other(direction)).count(b"HN")
    return bool(transcript.letter) and transcript.letter in PACKETS and asked > denied


def _without_position(said):
    """Over i the answer tells where the receiver just stands."""
    return Said(said.kind, re.sub(rb"^([SE]Y) .*", rb"\1", said.content), said.request)
