"""One call from the first byte to the last, as one object: what its two sides (`caller.py`,
`answerer.py`) have in common.

A call goes through stages. Each takes bytes and gives bytes; what is left over when one ends
belongs to the next. No error leaves a call: it ends, and the record says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.events import CallEvent, FileMoved, LogLine
from relaynode.uucp.features import Features
from relaynode.uucp.handshake import Agreement, Refusal, Verdict
from relaynode.uucp.line import Counts, Settings
from relaynode.uucp.protocols import make_line
from relaynode.uucp.record import Record, Status
from relaynode.uucp.session import Session, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relaynode.uucp.chat import Chat
    from relaynode.uucp.events import SessionEvent
    from relaynode.uucp.handshake import Handshake
    from relaynode.uucp.line import Line
    from relaynode.uucp.login import LoginPrompt
    from relaynode.uucp.work import Work

HANG_UP_SECONDS = 10.0
"""How long the peer's O's are waited for."""

CALLER_HANGS_UP = b"\x10OOOOOO\0" * 2
CALLED_HANGS_UP = b"\x10OOOOOOO\0" * 2
_HANG_UP = re.compile(rb"\x10O{6,7}[\0\r\n]")
_TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Talk:
    """What the conversation needs, whoever has called.

    `parameters`: of the line protocols, by letter and name. `line_for` makes a protocol by its
    letter. `is_end_to_end`: nothing is lost between the two programs.
    """

    settings: SessionSettings
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    line_for: Callable[[str, Settings], Line] = make_line
    is_end_to_end: bool = False


class Call:
    """One side of a call. The driver

    - calls `start`, then `receive` with what came, `tick` at `wake_at`, `peer_closed` at the end of
      the stream, and does with the events what they say;
    - writes `data_to_send(now)` until it gives nothing, whenever the connection takes more;
    - hangs up when `is_finished`, after the last bytes are written and a last `tick`, which gives
      the events that `data_to_send` found.

    Nothing is raised but what the injected interfaces raise; after that call `abort`.
    """

    def __init__(self) -> None:
        self.record = Record()
        self.session: Session | None = None
        self._outgoing = bytearray()
        self._tail = b""
        self._login: Chat | LoginPrompt | None = None
        self._handshake: Handshake | None = None
        self._early_failure = Status.HANDSHAKE_FAILED
        """What a call is that fails before the conversation."""
        self._line: Line | None = None
        self._events: list[CallEvent] = []
        self._has_hung_up = False
        self._hang_up_at: float | None = None
        self._is_stopping = False
        self._refuses_work = False
        self.is_finished = False

    # --- the driver's side

    def start(self, now: float) -> list[CallEvent]:
        """The connection stands."""
        self.record.began_at = now
        self._guarded(lambda: self._begin(now), now)
        return self._drained()

    def receive(self, data: bytes, now: float) -> list[CallEvent]:
        """Take bytes from the peer."""
        self.record.received_bytes += len(data)
        self._tail = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        if not self.is_finished:
            self._guarded(lambda: self._take(data, now), now)
        return self._drained()

    def tick(self, now: float) -> list[CallEvent]:
        """Time has passed, or there is new work."""
        if not self.is_finished:
            self._guarded(lambda: self._tick(now), now)
        return self._drained()

    def peer_closed(self, now: float) -> list[CallEvent]:
        """The connection has ended."""
        if not self.is_finished:
            self._guarded(lambda: self._peer_closed(now), now)
        return self._drained()

    def data_to_send(self, now: float) -> bytes:
        """Take bytes for the peer."""
        if not self.is_finished:
            self._guarded(lambda: self._gather(now), now)
        data = bytes(self._outgoing)
        self._outgoing.clear()
        self.record.sent_bytes += len(data)
        return data

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called at the latest."""
        if self.is_finished:
            return None
        if self.session is None:
            return self._wake_early_at()
        return self._hang_up_at if self.session.is_over else self.session.wake_at

    def stop_taking_work(self, *, refuses_work: bool = False) -> None:
        """Finish what is under way, then hang up (see Session)."""
        self._is_stopping = True
        self._refuses_work = self._refuses_work or refuses_work
        if self.session is not None:
            self.session.stop_taking_work(refuses_work=refuses_work)

    def abort(self, reason: str, now: float) -> list[CallEvent]:
        """End it at once, for a reason of our own."""
        if not self.is_finished:
            self._fail(reason, now)
        return self._drained()

    # --- what the two sides do each in its way

    _is_caller: bool
    _called_back_text: str
    """What the log says where it is the one who was called who will call."""

    def _login_for(self, now: float) -> Chat | LoginPrompt | None:
        """The login that comes first, None if there is none."""
        raise NotImplementedError

    def _after_login(self, now: float) -> None:
        """Something has come, or time has passed: go on if it is over. Raises: LineLost."""
        raise NotImplementedError

    def _handshake_for(self, now: float) -> Handshake:
        raise NotImplementedError

    def _agreed(self) -> tuple[Talk, Work]:
        """What the conversation needs now that it is known who it is with."""
        raise NotImplementedError

    def _error_of(self, refusal: Refusal) -> str:
        """Why there is no conversation, but for a call back."""
        raise NotImplementedError

    # --- before the conversation

    def _begin(self, now: float) -> None:
        self._login = self._login_for(now)
        if self._login is None:
            self._shake_hands(b"", now)
        else:
            self._early_failure = Status.LOGIN_FAILED
            self._after_login(now)

    def _shake_hands(self, rest: bytes, now: float) -> None:
        self._early_failure = Status.HANDSHAKE_FAILED
        self._handshake = self._handshake_for(now)
        self._take_early(rest, now)

    def _take_early(self, data: bytes, now: float) -> None:
        if self._handshake is not None:
            self._handshake.receive(data, now)
            self._after_handshake(self._handshake, now)
        elif self._login is not None:
            self._events += self._login.receive(data, now)
            self._after_login(now)

    def _tick_early(self, now: float) -> None:
        if self._handshake is not None:
            self._handshake.tick(now)
        elif self._login is not None:
            self._events += self._login.tick(now)
            self._after_login(now)

    def _wake_early_at(self) -> float | None:
        stage = self._handshake or self._login
        return stage.wake_at if stage is not None else None

    def _gather_early(self) -> bytes:
        stages = (self._login, self._handshake)
        return b"".join(stage.data_to_send() for stage in stages if stage is not None)

    def _after_handshake(self, handshake: Handshake, now: float) -> None:
        result = handshake.result
        if result is None:
            return
        # What was said so far must be on its way before the line protocol begins.
        self._outgoing += self._gather_early()
        if isinstance(result, Agreement):
            talk, work = self._agreed()
            self._begin_session(result, talk, work, handshake.rest, now)
        else:
            self._refused(result, now)

    def _refused(self, refusal: Refusal, now: float) -> None:
        self.record.refusal = refusal.verdict
        if refusal.verdict is Verdict.CALL_BACK:
            self._log(self._called_back_text)
            self._end(Status.COMPLETE, "", now)
        else:
            error = self._error_of(refusal)
            self._log(f"ERROR: {error}")
            self._end(Status.HANDSHAKE_FAILED, error, now)

    # --- the conversation

    def _begin_session(
        self, agreement: Agreement, talk: Talk, work: Work, rest: bytes, now: float
    ) -> None:
        settings = replace(talk.settings, is_caller=self._is_caller)
        parameters = talk.parameters.get(agreement.protocol, {})
        is_ours = bool(agreement.features & Features.AT_ONCE)
        # Taylor's program takes it too, with what it wishes if nobody has told it otherwise; but
        # where our SYNC may be lost what follows it would be lost time.
        at_once = self._is_caller and (is_ours or talk.is_end_to_end)
        asked = Settings(self._is_caller, dict(parameters), at_once, is_among_ours=is_ours)
        try:
            line = talk.line_for(agreement.protocol, asked)
        except ValueError as error:
            raise LineLost(str(error)) from None
        self.record.protocol = agreement.protocol
        self.record.counts = line.counts
        grade = f"grade {agreement.worst_grade} " if agreement.worst_grade else ""
        self._log(f"Handshake successful ({grade}protocol '{agreement.protocol}')")
        self._line = line
        self.session = Session(line, agreement, work, settings)
        if self._is_stopping:
            self.session.stop_taking_work(refuses_work=self._refuses_work)
        self._note(self.session.start(now))
        self._take(rest, now)

    def _take(self, data: bytes, now: float) -> None:
        if self.session is None:
            self._take_early(data, now)
        elif not self.session.is_over:
            self._note(self.session.receive(data, now))
        self._hang_up_if_over(now)

    def _tick(self, now: float) -> None:
        if self.session is None:
            self._tick_early(now)
        elif not self.session.is_over:
            self._note(self.session.tick(now))
        elif self._hang_up_at is not None and now >= self._hang_up_at:
            self._finish(now)
        self._hang_up_if_over(now)

    def _peer_closed(self, now: float) -> None:
        if self.session is None:
            raise LineLost("the connection ended before the conversation")
        if not self.session.is_over:
            self._note(self.session.peer_closed(now))
        self._finish(now)

    def _gather(self, now: float) -> None:
        self._outgoing += self._gather_early()
        if self.session is not None and not self.session.is_over:
            self._outgoing += self.session.data_to_send(now)
            self._note(self.session.drain_events())
        self._hang_up_if_over(now)

    # --- the end

    def _hang_up_if_over(self, now: float) -> None:
        """Say the O's, in the same flight as the last word of the line protocol.

        Who has agreed to the peer's H waits for the peer's O's, which show that it has heard so.
        Who was agreed with has heard all that matters.
        """
        if self.session is None or self.is_finished:
            return
        if self.session.has_said_all and not self._has_hung_up:
            self._has_hung_up = True
            self._outgoing += self.session.data_to_send(now)
            self._outgoing += CALLER_HANGS_UP if self._is_caller else CALLED_HANGS_UP
        if not self._has_hung_up:
            return
        if self.session.is_over and self._hang_up_at is None:
            self._hang_up_at = now + HANG_UP_SECONDS
        is_agreed = self.session.is_over and self.session.peer_agreed
        if is_agreed or _HANG_UP.search(self._tail):
            self._finish(now)

    def _finish(self, now: float) -> None:
        self._end(Status.COMPLETE, "", now)
        seconds = int(self.record.seconds)
        moved = self.record.sent_file_bytes + self.record.received_file_bytes
        rate = moved // seconds if seconds else 0
        if counts := _counted(self.record.counts):
            self._log(f"Protocol '{self.record.protocol}' {counts}")
        self._log(f"Call complete ({seconds} seconds {moved} bytes {rate} bps)")

    def _end(self, status: Status, error: str, now: float) -> None:
        self.is_finished = True
        self.record.status = status
        self.record.error = error
        self.record.ended_at = now

    def _fail(self, reason: str, now: float) -> None:
        """The call broke off."""
        if self.session is not None:
            self._note(self.session.drain_events())
            self.session.interrupt(reason, now)
            self._note(self.session.drain_events())
        self._log(f"ERROR: {reason}")
        status = Status.CALL_FAILED if self.session is not None else self._early_failure
        self._end(status, reason, now)
        self._outgoing.clear()

    def _guarded(self, step: Callable[[], None], now: float) -> None:
        try:
            step()
        except (LineLost, RemoteProtocolError) as error:
            self._fail(str(error), now)

    # --- reports

    def _log(self, text: str, user: str = "") -> None:
        self._events.append(LogLine(text, user))

    def _note(self, events: Sequence[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, FileMoved):
                self._count(event)
            self._events.append(event)

    def _count(self, moved: FileMoved) -> None:
        if moved.error:
            self.record.failed_files += 1
        elif moved.is_sent:
            self.record.sent_files += 1
        else:
            self.record.received_files += 1
        if moved.is_sent:
            self.record.sent_file_bytes += moved.size_bytes
        else:
            self.record.received_file_bytes += moved.size_bytes

    def _drained(self) -> list[CallEvent]:
        events, self._events = self._events, []
        return events


def _counted(counts: Counts) -> str:
    """What a log says of packets; empty for a protocol without them."""
    if not (counts.sent or counts.received):
        return ""
    text = f"packets: sent {counts.sent}, resent {counts.resent}, received {counts.received}"
    if counts.damaged or counts.out_of_order or counts.rejected:
        text += (
            f"; errors: damaged {counts.damaged}, order {counts.out_of_order}, "
            f"remote rejects {counts.rejected}"
        )
    return text
