"""One side of a recorded call, played by this program: its caller or its called side.

It is given the work that the recorded side had, and hears the other side's recorded bytes at the
times at which they came. Where a receiver decides freely (to refuse a file, to go on in the middle
of one), it is told to decide as the recorded side did.
"""

from __future__ import annotations

import re
from collections import deque

from relaynode.uucp.answerer import Answerer
from relaynode.uucp.call import Talk
from relaynode.uucp.caller import Caller
from relaynode.uucp.chat import ChatSettings
from relaynode.uucp.commands import (
    Fetch,
    NotStored,
    RemoteCopy,
)
from relaynode.uucp.features import NONE, TAYLORS, Features
from relaynode.uucp.handshake import CalledSettings, CallerSettings
from relaynode.uucp.session import SessionSettings
from relaynode.uucp.tasks import BytesSource
from relaynode.uucp.work import Job, OpenedFile, Verdict
from uucp.acknowledging import acknowledging
from uucp.answers import handshake
from uucp.transcript import CALLED, CALLER, other, transcript_of

_LOGIN = re.compile(rb"([^\r\n]*)[\r\n]+([^\r\n]*)[\r\n]+")


def pieces_of(recorded):
    """The pieces of a recorded call: time, direction, bytes."""
    return [(one["t"], one["direction"], bytes.fromhex(one["hex"])) for one in recorded]


_NOT_OURS = re.compile("^Shere$|^ROK$| -U| -N( |$)")


def as_we_say_it(recorded, message):
    """The recorded message; ours if it says more, where an old system says little.

    We greet with our name always and tell whoever asks what we can do, but never in the options of
    SVR4 or with a bare -N.
    """
    is_longer = message.startswith(recorded.partition(" ")[0])
    return message if _NOT_OURS.search(recorded) and is_longer else recorded


class Stored:
    """Takes a file, and finds about it what the recorded side found."""

    def __init__(self, position, is_stored):
        self.position = position
        self.content = bytearray(position)
        self.verdict = None
        self._is_stored = is_stored

    def write(self, position, content):
        self.content[position:] = content

    def commit(self, size_bytes):
        assert size_bytes == len(self.content)
        self.verdict = Verdict.STORED if self._is_stored else Verdict.NOT_STORED

    def abandon(self, keeps_part):
        pass

    def confirmed(self):
        pass


class RecordedWork:
    """The work of one side of a recorded call. `own`, `peers`: what each side asked for."""

    def __init__(self, own, peers):
        self._jobs = deque(_job(one) for one in own if not one.is_late)
        self._late_jobs = [_job(one) for one in own if one.is_late]
        self._offers = list(peers)

    def next_job(self, worst_grade):
        return self._jobs.popleft() if self._jobs else None

    def ended(self, job, outcome):
        pass

    def _recorded(self, request):
        found = next(one for one in self._offers if one.request == request)
        self._offers.remove(found)
        return found

    def offered(self, request, target):
        recorded = self._recorded(request)
        if recorded.is_refused:
            return recorded.answer.code
        # Over i the position only tells where the receiver stood.
        position = recorded.answer.position
        is_stored = not isinstance(recorded.word, NotStored)
        return Stored(0 if position == request.size else position, is_stored)

    def wanted(self, request, path):
        recorded = self._recorded(request)
        if recorded.is_refused:
            return recorded.answer.code
        return OpenedFile(BytesSource(recorded.file), recorded.answer.mode)

    def fetched(self, request, is_confirmed):
        pass

    def copy_wanted(self, request):
        self._jobs.extend(self._late_jobs)
        self._late_jobs.clear()
        return not self._recorded(request).is_refused


def _job(exchange):
    """One of our requests, with the file that it moves."""
    request = exchange.request
    if isinstance(request, Fetch):
        return Job(request, sink=Stored(0, not isinstance(exchange.word, NotStored)))
    if isinstance(request, RemoteCopy):
        return Job(request)
    content = exchange.file or b""
    size = len(content) if request.size is None else request.size
    if exchange.is_refused:
        return Job(request, source=BytesSource(content.ljust(size, b"?")))
    return Job(request, source=BytesSource(content.rjust(size, b"?")))


class Replay:
    """Our side in a recorded call. `transcript` holds, after `run`, what was then said."""

    def __init__(self, recorded, direction):
        self._pieces = pieces_of(recorded)
        self._direction = direction
        self.recorded = transcript_of([(way, data) for _, way, data in self._pieces])
        own, peers = map(self.recorded.exchanges, (direction, other(direction)))
        self._work = RecordedWork(own, peers)
        self._public = _public_folder(peers)
        self._heard = []
        self._peer = acknowledging(self.recorded.letter, direction == CALLED)
        messages = {way: self.recorded.messages(way) for way in (CALLER, CALLED)}
        self.call = (self._caller if direction == CALLER else self._called)(messages)

    @property
    def refusal(self):
        """Why there was no conversation, if there was none."""
        verdict = [one[1:] for one in self.recorded.messages(CALLED) if one.startswith("R")][:1]
        found = [one for one in handshake.Verdict if one.value and [one.value] == verdict]
        if "UN" in self.recorded.messages(CALLER):
            return handshake.Verdict.NO_PROTOCOL
        return found[0] if found else None

    def _caller(self, messages):
        greeting, introduction = messages[CALLED][0], messages[CALLER][0]
        name = introduction.split()[0][1:]
        settings = CallerSettings(
            own_name=name,
            peer_names=(greeting.partition("=")[2] or "called",),
            protocols=self.recorded.letter or "t",
            **_options(introduction),
        )
        return Caller("called", settings, self._talk(name, True), self._work, self._chat())

    def _chat(self):
        found = _LOGIN.match(self.recorded.login(CALLER))
        if found is None:
            return None
        values = {"L": found[1], "P": found[2]}
        return ChatSettings(["ogin:", r"\L", "word:", r"\P"], values)

    def _called(self, messages):
        greeting = messages[CALLED][0]
        name = greeting.partition("=")[2]
        offers = [one[1:] for one in messages[CALLED] if one.startswith("P")]
        sequence = re.search(r"-Q(\d+)", messages[CALLER][0])
        gate = handshake.Gate(self.refusal, int(sequence[1]) if sequence else None)
        login = _LOGIN.match(self.recorded.login(CALLER))
        return Answerer(
            CalledSettings(name or "called", offers[0] if offers else "t", TAYLORS),
            lambda neighbour: self._talk(name, False),
            lambda login: gate,
            lambda neighbour: self._work,
            check=(lambda name, password: password == login[2]) if login else None,
        )

    def _talk(self, name, is_caller):
        return Talk(SessionSettings(name, is_caller, public=self._public))

    def run(self):
        """Play it to the end of what was recorded; what both have said then."""
        self._after(self.call.start, 0.0)
        for at, way, data in self._pieces:
            if way == self._direction:
                self._peer.was_said(data)
            else:
                self._sleep_until(at)
                self._hear(self._peer.retold(data), at)
        self._after(self.call.peer_closed, self._pieces[-1][0] + 1)
        return transcript_of(self._heard)

    def _hear(self, data, at):
        self._heard.append((other(self._direction), data))
        self._after(lambda now: self.call.receive(data, now), at)

    def _sleep_until(self, at):
        while (wake_at := self.call.wake_at) is not None and wake_at <= at:
            self._after(self.call.tick, wake_at)

    def _after(self, step, now):
        step(now)
        while data := self.call.data_to_send(now):
            self._heard.append((self._direction, data))
            if acknowledgement := self._peer.acknowledgement_of(data):
                self._hear(acknowledgement, now)


def _public_folder(exchanges):
    """Where the recorded side let the other one into: the folder of what it granted."""
    for one in exchanges:
        path = getattr(one.request, "source" if isinstance(one.request, Fetch) else "target", "")
        if path.startswith("/") and one.answer is not None and not one.is_refused:
            return path.rpartition("/")[0]
    return "/var/spool/uucppublic"


def _options(introduction):
    """The settings of a caller that says these options."""
    found = dict(re.findall(r"-(N|Q|p)(\w+)", introduction))
    restart = Features.RESTART if "-R" in introduction else NONE
    return {
        "features": Features(int(found["N"], 8)) if "N" in found else restart,
        "sequence": int(found["Q"]) if "Q" in found else None,
        "worst_grade": found.get("p"),
    }
