"""Two calls in memory, joined by a line that delivers bytes in pieces, and a clock by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.uucp.answerer import Answerer
from relaynode.uucp.call import Talk
from relaynode.uucp.caller import Caller
from relaynode.uucp.handshake import CalledSettings, CallerSettings
from relaynode.uucp.session import SessionSettings
from uucp.memory import MemoryWork, OpenGate

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.call import Call
    from relaynode.uucp.events import CallEvent


def caller(work: MemoryWork, protocols: str = "t", **settings: object) -> Caller:
    """System alpha, which calls beta."""
    handshake = CallerSettings("alpha", ("beta",), protocols, **settings)
    return Caller("beta", handshake, Talk(SessionSettings("alpha")), work)


def answerer(
    work: MemoryWork,
    protocols: str = "t",
    gate: OpenGate | None = None,
    session: SessionSettings | None = None,
    **settings: object,
) -> Answerer:
    """System beta, which alpha calls."""
    return Answerer(
        CalledSettings("beta", protocols, **settings),
        lambda neighbour: Talk(session or SessionSettings("beta")),
        lambda login: gate or OpenGate(),
        lambda neighbour: work,
    )


@dataclass
class Pair:
    """A call and its counterpart. `piece` is how many bytes a read gives at most.

    `damage` may change what is on its way; it is given the bytes and whether the caller sent them.
    """

    caller: Call
    answerer: Call
    piece: int = 4096
    now: float = 1000.0
    damage: Callable[[bytes, bool], bytes] = lambda data, is_from_caller: data
    events: dict[bool, list[CallEvent]] = field(default_factory=lambda: {True: [], False: []})
    traffic: dict[bool, bytearray] = field(
        default_factory=lambda: {True: bytearray(), False: bytearray()}
    )

    def start(self) -> Pair:
        self.events[True] += self.caller.start(self.now)
        self.events[False] += self.answerer.start(self.now)
        return self

    def run(self, rounds: int = 200_000) -> Pair:
        """Until both have finished. Time passes only when nothing else happens."""
        self.start()
        for _ in range(rounds):
            if self.caller.is_finished and self.answerer.is_finished:
                return self
            if not self.exchange():
                self.let_time_pass()
        raise AssertionError("the calls do not end")

    def exchange(self) -> bool:
        """Bring over what each side has to say; False if both are silent."""
        has_moved = [
            self._carry(self.caller, self.answerer),
            self._carry(self.answerer, self.caller),
        ]
        return any(has_moved)

    def _carry(self, source: Call, sink: Call) -> bool:
        is_from_caller = source is self.caller
        data = source.data_to_send(self.now)
        if not data:
            return self._close(source, sink)
        self.traffic[is_from_caller] += data
        data = self.damage(data, is_from_caller)
        for start in range(0, len(data), self.piece):
            piece = data[start : start + self.piece]
            self.events[not is_from_caller] += sink.receive(piece, self.now)
        return True

    def _close(self, source: Call, sink: Call) -> bool:
        if source.is_finished and not sink.is_finished:
            self.events[sink is self.caller] += sink.peer_closed(self.now)
            return True
        return False

    def let_time_pass(self) -> None:
        """To the next moment that one of them waits for."""
        calls = [call for call in (self.caller, self.answerer) if not call.is_finished]
        wakes = [call.wake_at for call in calls if call.wake_at is not None]
        assert wakes, "both wait for ever"
        self.now = max(self.now, min(wakes))
        for call in calls:
            self.events[call is self.caller] += call.tick(self.now)


def joined(ours: MemoryWork, theirs: MemoryWork, protocol: str = "t", **settings: object) -> Pair:
    """alpha with `ours` has called beta with `theirs`, and all is done."""
    return Pair(caller(ours, protocol), answerer(theirs, protocol), **settings).run()
