"""One call from the first byte to the last, as one object for either side.

    Caller     chat script, handshake, conversation, O's
    Answerer   login prompts (where wanted), handshake, conversation, O's

A call goes through stages. Each takes bytes and gives bytes; what is left over when one ends
belongs to the next. No error leaves a call: it ends, and the record says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.chat import Chat
from relaynode.uucp.events import CallEvent, FileMoved, LogLine
from relaynode.uucp.features import Features
from relaynode.uucp.handshake import (
    Agreement,
    CalledHandshake,
    CallerHandshake,
    Refusal,
    Verdict,
)
from relaynode.uucp.line import Counts, Settings
from relaynode.uucp.login import LoginPrompt
from relaynode.uucp.protocols import make_line
from relaynode.uucp.session import Session, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relaynode.uucp.chat import ChatSettings
    from relaynode.uucp.events import SessionEvent
    from relaynode.uucp.handshake import CalledSettings, CallerSettings, Gate, Handshake
    from relaynode.uucp.line import Line
    from relaynode.uucp.work import Work

HANG_UP_SECONDS = 10.0
"""How long the peer's O's are waited for."""

CALLER_HANGS_UP = b"\x10OOOOOO\0" * 2
CALLED_HANGS_UP = b"\x10OOOOOOO\0" * 2
_HANG_UP = re.compile(rb"\x10O{6,7}[\0\r\n]")
_TAIL_BYTES = 64


class Status(IntEnum):
    """What became of a call, as Taylor's status files number it."""

    COMPLETE = 0
    PORT_UNAVAILABLE = 1
    DIAL_FAILED = 2
    LOGIN_FAILED = 3
    HANDSHAKE_FAILED = 4
    CALL_FAILED = 5
    TALKING = 6
    WRONG_TIME = 7

    @property
    def text(self) -> str:
        """As Taylor's status files say it."""
        return _STATUS_TEXTS[self]


_STATUS_TEXTS = {
    Status.COMPLETE: "Conversation complete",
    Status.PORT_UNAVAILABLE: "Port unavailable",
    Status.DIAL_FAILED: "Dial failed",
    Status.LOGIN_FAILED: "Login failed",
    Status.HANDSHAKE_FAILED: "Handshake failed",
    Status.CALL_FAILED: "Call failed",
    Status.TALKING: "Talking",
    Status.WRONG_TIME: "Wrong time to call",
}


@dataclass(slots=True)
class Record:
    """What is remembered of a call.

    `reason`: the code of what kept the line from being opened (`errors.py`), "" if it was.
    `sent_bytes`, `received_bytes`: all that went over the line. `neighbour` is empty until it is
    known. `wants_call_back`: the peer will call us (where we called), or is to be called.
    """

    neighbour: str = ""
    login: str = ""
    protocol: str = ""
    status: Status = Status.TALKING
    error: str = ""
    reason: str = ""
    began_at: float = 0.0
    ended_at: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_files: int = 0
    received_files: int = 0
    sent_file_bytes: int = 0
    received_file_bytes: int = 0
    failed_files: int = 0
    refusal: Verdict | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.ended_at - self.began_at)

    @property
    def is_complete(self) -> bool:
        """Whether both sides agreed that there was no more to do."""
        return self.status is Status.COMPLETE

    @property
    def wants_call_back(self) -> bool:
        """Whether the one who was called will call the caller."""
        return self.refusal is Verdict.CALL_BACK


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
        self._line: Line | None = None
        self._events: list[CallEvent] = []
        self._has_hung_up = False
        self._hang_up_at: float | None = None
        self._is_stopping = False
        self._refuses_work = False
        self.is_finished = False

    _is_caller: bool

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
            return self._wake_at()
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

    # --- the stages of each side

    def _begin(self, now: float) -> None:
        raise NotImplementedError

    def _take_early(self, data: bytes, now: float) -> None:
        """Take bytes before the conversation."""
        raise NotImplementedError

    def _tick_early(self, now: float) -> None:
        raise NotImplementedError

    def _wake_at(self) -> float | None:
        raise NotImplementedError

    def _gather_early(self) -> bytes:
        raise NotImplementedError

    _early_failure = Status.HANDSHAKE_FAILED
    """What a call is that fails before the conversation."""

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


# --- the two sides


class Caller(Call):
    """The side that has called. `work` is what there is for the neighbour.

    Without `chat` there is no login: the peer's uucico speaks first.
    """

    _is_caller = True

    def __init__(
        self,
        neighbour: str,
        handshake: CallerSettings,
        talk: Talk,
        work: Work,
        chat: ChatSettings | None = None,
    ) -> None:
        super().__init__()
        self._talk = talk
        self.record.neighbour = neighbour
        self._handshake_settings = handshake
        self._work = work
        self._chat_settings = chat
        self._chat: Chat | None = None
        self._handshake: Handshake | None = None

    def _begin(self, now: float) -> None:
        if self._chat_settings is None:
            self._shake_hands(b"", now)
        else:
            self._early_failure = Status.LOGIN_FAILED
            self._chat = Chat(self._chat_settings, now)
            self._after_chat(now)

    def _take_early(self, data: bytes, now: float) -> None:
        if self._handshake is not None:
            self._handshake.receive(data, now)
            self._after_handshake(now)
        elif self._chat is not None:
            self._events += self._chat.receive(data, now)
            self._after_chat(now)

    def _tick_early(self, now: float) -> None:
        if self._handshake is not None:
            self._handshake.tick(now)
        elif self._chat is not None:
            self._events += self._chat.tick(now)
            self._after_chat(now)

    def _wake_at(self) -> float | None:
        stage = self._handshake or self._chat
        return stage.wake_at if stage is not None else None

    def _gather_early(self) -> bytes:
        data = self._chat.data_to_send() if self._chat is not None else b""
        return data + (self._handshake.data_to_send() if self._handshake is not None else b"")

    def _after_chat(self, now: float) -> None:
        assert self._chat is not None
        result = self._chat.result
        if result is None:
            return
        if not result.is_success:
            raise LineLost(result.reason)
        self._log("Login successful")
        self._shake_hands(self._chat.rest, now)

    def _shake_hands(self, rest: bytes, now: float) -> None:
        self._early_failure = Status.HANDSHAKE_FAILED
        self._handshake = CallerHandshake(self._handshake_settings, now)
        self._take_early(rest, now)

    def _after_handshake(self, now: float) -> None:
        assert self._handshake is not None
        match self._handshake.result:
            case Agreement() as agreement:
                # What was said so far must be on its way before the line protocol begins.
                self._outgoing += self._gather_early()
                self._begin_session(agreement, self._talk, self._work, self._handshake.rest, now)
            case Refusal() as refusal:
                self._refused(refusal, now)
            case None:
                pass

    def _refused(self, refusal: Refusal, now: float) -> None:
        self._outgoing += self._gather_early()
        self.record.refusal = refusal.verdict
        if refusal.verdict is Verdict.CALL_BACK:
            self._log("Remote system will call back")
            self._end(Status.COMPLETE, "", now)
            return
        text = {
            Verdict.WRONG_SYSTEM: f"Called wrong system ({refusal.text})",
            Verdict.NO_PROTOCOL: f"No common protocol ({refusal.text})",
        }.get(refusal.verdict, f"Handshake failed ({refusal.text})")
        self._log(f"ERROR: {text}")
        self._end(Status.HANDSHAKE_FAILED, text, now)


class Answerer(Call):
    """The side that was called.

    `gate_for` gives the gate for a login. Once it is known who calls, `talk_for` and `work_for`
    give what holds for that neighbour, and its work. `check` is asked for login and password;
    without it there are no prompts, and `login` is what the system's own login has established.
    """

    _is_caller = False

    def __init__(
        self,
        handshake: CalledSettings,
        talk_for: Callable[[str], Talk],
        gate_for: Callable[[str], Gate],
        work_for: Callable[[str], Work],
        *,
        login: str = "",
        check: Callable[[str, bytes], bool] | None = None,
    ) -> None:
        super().__init__()
        self.record.login = login
        self._handshake_settings = handshake
        self._talk_for = talk_for
        self._gate_for = gate_for
        self._work_for = work_for
        self._check = check
        self._prompt: LoginPrompt | None = None
        self._handshake: CalledHandshake | None = None

    def _begin(self, now: float) -> None:
        if self._check is None:
            self._shake_hands(b"", now)
        else:
            self._early_failure = Status.LOGIN_FAILED
            self._prompt = LoginPrompt(self._check, now)

    def _take_early(self, data: bytes, now: float) -> None:
        if self._handshake is not None:
            self._handshake.receive(data, now)
            self._after_handshake(now)
        elif self._prompt is not None:
            self._prompt.receive(data, now)
            self._after_prompt(now)

    def _tick_early(self, now: float) -> None:
        stage = self._handshake or self._prompt
        if stage is not None:
            stage.tick(now)

    def _wake_at(self) -> float | None:
        stage = self._handshake or self._prompt
        return stage.wake_at if stage is not None else None

    def _gather_early(self) -> bytes:
        data = self._prompt.data_to_send() if self._prompt is not None else b""
        return data + (self._handshake.data_to_send() if self._handshake is not None else b"")

    def _after_prompt(self, now: float) -> None:
        assert self._prompt is not None
        if self._prompt.is_refused:
            self._log("ERROR: Bad login")
            self._end(Status.LOGIN_FAILED, "bad login", now)
        elif self._prompt.name is not None:
            self.record.login = self._prompt.name
            self._shake_hands(self._prompt.rest, now)

    def _shake_hands(self, rest: bytes, now: float) -> None:
        self._early_failure = Status.HANDSHAKE_FAILED
        gate = self._gate_for(self.record.login)
        self._handshake = CalledHandshake(self._handshake_settings, gate, now)
        self._take_early(rest, now)

    def _after_handshake(self, now: float) -> None:
        assert self._handshake is not None
        self.record.neighbour = self._handshake.neighbour
        match self._handshake.result:
            case Agreement() as agreement:
                self._outgoing += self._gather_early()
                talk = self._talk_for(self._handshake.neighbour)
                work = self._work_for(self._handshake.neighbour)
                self._begin_session(agreement, talk, work, self._handshake.rest, now)
            case Refusal() as refusal:
                self._refused(refusal, now)
            case None:
                pass

    def _refused(self, refusal: Refusal, now: float) -> None:
        self._outgoing += self._gather_early()
        self.record.refusal = refusal.verdict
        name, login = refusal.peer_name, self.record.login
        text = {
            Verdict.UNKNOWN: f"Call from unknown system {name}",
            Verdict.WRONG_LOGIN: f"System {name} used wrong login name {login}",
            Verdict.LOCKED: "System already locked",
            Verdict.BAD_SEQUENCE: f"Call rejected: {refusal.text}",
            Verdict.NO_PROTOCOL: "No common protocol",
        }.get(refusal.verdict)
        if text is None:
            self._log("Will call back")
            self._end(Status.COMPLETE, "", now)
            return
        self._log(f"ERROR: {text}")
        self._end(Status.HANDSHAKE_FAILED, text, now)
