"""The start-up of g, G and v: INITA, INITB, INITC, each said by the caller and answered.

Each side says what the *other* shall use when it sends: a window in INITA and INITC, the size of
its packets in INITB. Only the caller says something unasked and repeats it; the called side answers
as often as it is asked. So one lost packet costs one repetition, wherever it was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.uucp.lines.g_packet import (
    FIELD_SIZES,
    HEADER_BYTES,
    ControlPacket,
    Type,
)

if TYPE_CHECKING:
    from relaynode.uucp.lines.g_pace import Pace
    from relaynode.uucp.lines.g_packet import DataPacket
    from relaynode.uucp.lines.g_parameters import Parameters

STAGES = (Type.INITA, Type.INITB, Type.INITC)

LARGE_BYTES = 1024
"""What we ask for if we may choose. Over a round trip of 600 ms and 128 kbit/s seven of these keep
three quarters of the line busy; 64 bytes keep it busy for a twentieth."""

SMALL_BYTES = 64
"""What everybody can. Asked for where the round trip is so long that the line may be slow, too."""

LONG_ROUND_TRIP_SECONDS = 1.5

TAYLORS_PATIENCE_SECONDS = 8.0
"""Taylor believes that a packet is lost, and sends all again, when it has waited for 10."""


class _Startup:
    """What both sides know of it."""

    def __init__(self, parameters: Parameters, pace: Pace) -> None:
        self._parameters = parameters
        self._pace = pace
        self._heard: dict[Type, int] = {}
        self._asked_size = 0
        self._said_at: float | None = None
        self._round_trip: float | None = None
        self._arrival_seconds = 0.0
        self.is_done = False
        self.wake_at: float | None = None

    @property
    def remote_window(self) -> int:
        """How many packets the peer lets us have under way, as it has said last."""
        said = self._heard.get(Type.INITC) or self._heard.get(Type.INITA) or 1
        return self._parameters.remote_window or said

    @property
    def remote_size(self) -> int:
        """How large our packets shall be."""
        said = FIELD_SIZES[self._heard.get(Type.INITB, 1)]
        return self._parameters.remote_packet_size or said

    @property
    def asked_size(self) -> int:
        """How large the peer's packets shall be."""
        if not self._asked_size:
            self._asked_size = self._parameters.packet_size or self._fitting_size()
        return self._asked_size

    @property
    def asked_window(self) -> int:
        """How many of them may be under way."""
        # INITA comes before the round trip is known; the sizes we choose then suit any window.
        return self._parameters.window_for(self._parameters.packet_size or LARGE_BYTES)

    def _fitting_size(self) -> int:
        if self._round_trip is None or self._round_trip >= LONG_ROUND_TRIP_SECONDS:
            return SMALL_BYTES
        size = LARGE_BYTES
        while size > SMALL_BYTES and self._seconds_for(size) > TAYLORS_PATIENCE_SECONDS:
            size //= 2
        return size

    def _seconds_for(self, size_bytes: int) -> float:
        """As far as is seen from how the bytes of one packet came in, one by one or together."""
        assert self._round_trip is not None
        return self._round_trip + size_bytes * self._arrival_seconds / (HEADER_BYTES - 1)

    def took(self, seconds: float) -> None:
        """So long was it from the first byte of a packet to its last."""
        self._arrival_seconds = max(self._arrival_seconds, seconds)

    def _say(self, stage: Type, now: float) -> bytes:
        self._said_at = now
        value = FIELD_SIZES.index(self.asked_size) if stage is Type.INITB else self.asked_window
        return ControlPacket(stage, value).encode()

    def _learn(self, now: float) -> None:
        """What we said last has its answer."""
        if self._said_at is not None and self._round_trip is None:
            self._round_trip = now - self._said_at
            self._pace.measured_start(self._round_trip)


class CallerStartup(_Startup):
    """The side that says each stage first, and repeats what is not answered."""

    _stage = Type.INITA
    _tries = 0
    _rounds = 1

    def begin(self, now: float) -> bytes:
        """What is said first."""
        return self._enter(Type.INITA, now)

    def heard(self, packet: ControlPacket | DataPacket, now: float) -> bytes:
        """What is to be said next, if anything. Answers that came twice are left out."""
        stage, value = _said_by(packet)
        if stage is self._stage:
            return self._answered(self._stage, value, now)
        # The peer has answered INITC, has begun, and the answer was lost. It will not repeat it.
        if self._stage is Type.INITC and stage not in STAGES:
            self._finish()
        return b""

    def _answered(self, stage: Type, value: int, now: float) -> bytes:
        self._heard[stage] = value
        if self._tries == 1:
            self._learn(now)
        if stage is Type.INITC:
            self._finish()
            return b""
        return self._enter(STAGES[STAGES.index(stage) + 1], now)

    def _finish(self) -> None:
        self.is_done = True
        self.wake_at = None

    def _enter(self, stage: Type, now: float) -> bytes:
        self._stage = stage
        self._tries = 0
        return self._try(now)

    def _try(self, now: float) -> bytes:
        self._tries += 1
        self.wake_at = now + self._parameters.init_timeout
        return self._say(self._stage, now)

    def tick(self, now: float) -> bytes:
        """Say it again, or begin again, or give up. Raises: LineLost."""
        if self._tries < self._parameters.init_retries:
            return self._try(now)
        self._rounds += 1
        if self._rounds > self._parameters.startup_retries:
            raise LineLost(f"the peer does not answer {self._stage.name}")
        return self._enter(Type.INITA, now)


class CalledStartup(_Startup):
    """The side that answers each stage, also when asked again, until the peer sends data."""

    def begin(self, now: float) -> bytes:
        """Nothing: some old callers are confused by what they did not ask for."""
        waits = self._parameters
        self.wake_at = now + waits.startup_retries * waits.init_retries * waits.init_timeout
        return b""

    def heard(self, packet: ControlPacket | DataPacket, now: float) -> bytes:
        """The answer; none to what comes before its turn."""
        stage, value = _said_by(packet)
        if stage is None or stage not in STAGES[: len(self._heard) + 1]:
            return b""
        if stage in self._heard:
            self._said_at = None  # which of the two answers comes next is an answer to is not known
        else:
            self._learn(now)
        self._heard[stage] = value
        if stage is Type.INITC:
            self.is_done = True
            self.wake_at = None
        return self._say(stage, now)

    def tick(self, now: float) -> bytes:
        """Give up. Raises: LineLost."""
        raise LineLost("the peer does not begin the protocol")


def _said_by(packet: ControlPacket | DataPacket) -> tuple[Type | None, int]:
    return (packet.type, packet.value) if isinstance(packet, ControlPacket) else (None, 0)
