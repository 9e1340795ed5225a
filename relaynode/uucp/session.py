"""The conversation between two systems, from the end of the handshake to the hang-up.

The master asks (S, E, R, X), the slave answers. A master without work asks H; a slave that has some
answers HN and becomes the master, else HY, and that is the end. Over a full duplex protocol (i, j)
both ask from the start, each on its channels; there the master is only who asks H.

This file decides whose turn it is, and when it is over. asking.py has our requests, serving.py the
peer's; outgoing.py moves the files that go, incoming.py those that come; work.py says where they
come from and go to. No line protocol is known here by name.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.asking import Asking
from relaynode.uucp.commands import (
    Confirmed,
    Execute,
    Fetch,
    Garbled,
    HangUp,
    HangUpReply,
    NotStored,
    RemoteCopy,
    Send,
    parse,
)
from relaynode.uucp.conversation import Conversation, SessionSettings
from relaynode.uucp.line import (
    MAIN,
    Channel,
    Closed,
    Command,
    Data,
    EndOfFile,
    Remark,
    Resend,
    Started,
)
from relaynode.uucp.lines.patience import Patience
from relaynode.uucp.serving import Serving
from relaynode.uucp.work import Thinking, Verdict

if TYPE_CHECKING:
    from relaynode.uucp.commands import Reply
    from relaynode.uucp.events import SessionEvent
    from relaynode.uucp.handshake import Agreement
    from relaynode.uucp.incoming import IncomingFile
    from relaynode.uucp.line import Event, Line
    from relaynode.uucp.work import Job, Work

__all__ = ["Session", "SessionSettings"]

SILENCE_SECONDS = 300.0
"""A peer that says nothing of use for so long has gone. The line protocol mostly sees it sooner."""

SLOWEST_PEER_BYTES_PER_SECOND = 2.0
"""A peer whose data trickles more slowly does not keep us on the line."""

MAX_UNTAKEN_COMMANDS = 100
"""A peer that asks so much without taking our answers is hostile."""


class Turn(Enum):
    """Whose turn it is to ask, and how far the hang-up has come."""

    STARTING = auto()
    MASTER = auto()
    SLAVE = auto()
    ASKED_TO_END = auto()
    """We have said H."""
    ANSWERS_END = auto()
    """The peer has said H, and we do not know yet whether we have work."""
    ENDING = auto()
    """HY has been said; the line protocol is being ended."""
    OVER = auto()


# When a command of ours may be sent over a full duplex line.
_TALKING = frozenset((Turn.MASTER, Turn.SLAVE))
_ENDED = frozenset((Turn.ENDING, Turn.OVER))


class Session:
    """One conversation. Feed bytes, take events, take bytes to send.

    `receive`, `tick`, `peer_closed` and `data_to_send` raise RemoteProtocolError and LineLost;
    then, or to end it at once for another reason, call `interrupt`. Work that was THINKING, or a
    sink without a verdict, is asked again at the next `tick`.
    """

    def __init__(
        self, line: Line, agreement: Agreement, work: Work, settings: SessionSettings
    ) -> None:
        self.peer_agreed = False
        """The peer has agreed to our H: it has said its last word that matters."""
        self._line = line
        self._talk = Conversation(line, agreement, work, settings)
        self._asking = Asking(self._talk)
        self._serving = Serving(self._talk)
        self._turn = Turn.STARTING
        self._is_stopping = False
        self._has_more = True  # as far as we know
        self._untaken_commands = 0
        self._patience = Patience(SILENCE_SECONDS)
        self._last_sign_at = 0.0

    # --- the driver's side

    def start(self, now: float) -> list[SessionEvent]:
        """Begin the line protocol."""
        self._heard(now)
        self._line.start(now)
        return self.receive(b"", now)

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Take bytes from the peer. Raises: RemoteProtocolError, LineLost."""
        try:
            self._listen(data, now)
        except (LineLost, RemoteProtocolError):
            if self._turn not in _ENDED:
                raise
            self._turn = Turn.OVER  # what comes behind the last word is of no interest
        return self.drain_events()

    def _listen(self, data: bytes, now: float) -> None:
        self._take_all(data, now)
        self._work_on(now)
        if self._turn is Turn.ENDING:
            self._take_all(b"", now)  # so that the O's go in the same flight as HY

    def _take_all(self, data: bytes, now: float) -> None:
        events = self._line.receive(data, now)
        while events and self._turn is not Turn.OVER:
            self._take(events, now)
            events = self._line.receive(b"", now)

    def tick(self, now: float) -> list[SessionEvent]:
        """Time has passed, or what was THINKING knows more. Raises: as receive."""
        if self._turn is Turn.OVER:
            return []
        try:
            self._take(self._line.tick(now), now, is_timed_out=True)
        except LineLost:
            if self._turn not in _ENDED:
                raise
            self._turn = Turn.OVER
        if self._turn not in _ENDED and now >= self._patience.ends_at:
            raise LineLost("the peer says nothing of use any more")
        return self.receive(b"", now)

    def peer_closed(self, now: float) -> list[SessionEvent]:
        """The connection has ended. Raises: LineLost unless both had agreed to hang up."""
        if self._turn not in _ENDED:
            raise LineLost("the connection ended in the middle of the conversation")
        self._turn = Turn.OVER
        return self.drain_events()

    def data_to_send(self, now: float) -> bytes:
        """Take bytes for the peer; call it until there are none, whenever the line takes more.

        Files are read here, so that no more of them is in memory than is on its way.
        Raises: LineLost if a file has become shorter.
        """
        if self._turn is not Turn.OVER:
            self._talk.files.fill(now)
            self._work_on(now)
        data = self._line.data_to_send()
        if data:
            self._untaken_commands = 0
            self._patience.sent(len(data), now)
        return data

    def drain_events(self) -> list[SessionEvent]:
        """The events that came before an error was raised."""
        return self._talk.reports.take()

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called at the latest."""
        if self._turn is Turn.OVER:
            return None
        if self._turn is Turn.ENDING:
            return self._line.wake_at
        line_wakes = self._line.wake_at
        ends = self._patience.ends_at
        return ends if line_wakes is None else min(line_wakes, ends)

    @property
    def is_ending(self) -> bool:
        """Both have agreed to hang up: nothing more can be lost."""
        return self._turn in _ENDED

    @property
    def has_said_all(self) -> bool:
        """Both have agreed, and the line protocol has nothing more to say but repetitions."""
        return self.is_over or (self._turn is Turn.ENDING and self._line.has_said_all)

    @property
    def is_over(self) -> bool:
        """The line protocol has ended too."""
        return self._turn is Turn.OVER

    def stop_taking_work(self, *, refuses_work: bool = False) -> None:
        """Finish what is under way, then hang up.

        `refuses_work`: what else the peer offers shall come another time.
        """
        self._is_stopping = True
        self._serving.refuses_work = self._serving.refuses_work or refuses_work

    def interrupt(self, reason: str, now: float) -> None:
        """The conversation has broken off: report what was under way, keep the parts of files."""
        self._turn = Turn.OVER
        self._give_up(reason, now)

    def _give_up(self, reason: str, now: float) -> None:
        self._asking.give_up(reason, now)
        self._serving.give_up()
        for incoming in self._talk.incoming.values():
            incoming.abandon()
            if incoming.received_bytes and not incoming.is_whole:
                self._talk.reports.came(incoming, now, reason)
        self._talk.incoming.clear()

    # --- what the line tells

    def _take(self, events: list[Event], now: float, *, is_timed_out: bool = False) -> None:
        for event in events:
            if self._turn is not Turn.OVER:
                self._take_one(event, now, is_timed_out)

    def _take_one(self, event: Event, now: float, is_timed_out: bool) -> None:
        match event:
            case Closed():
                self._closed(is_timed_out)
            case Remark(text):
                self._talk.reports.log(text)
            case Command(_, b"HY") if self._turn is Turn.ENDING:
                self._serving.confirm_all()
            case _ if self._turn is Turn.ENDING:
                pass  # what else old programs say
            case Started():
                self._turn = Turn.MASTER if self._talk.settings.is_caller else Turn.SLAVE
                self._heard(now)
            case Command(channel, text):
                self._heard(now)
                self._patience.answered(now)
                self._said(channel, text, now)
            case Data(channel, _, content):
                self._heard(now, len(content))
                self._file_on(channel).take(event)
            case EndOfFile(channel):
                self._heard(now)
                self._file_on(channel).complete()
                self._settle(now)  # the next request on this channel may be in the same read
            case Resend(channel):
                self._heard(now)
                self._talk.files.again(channel)

    def _heard(self, now: float, trickle_bytes: int | None = None) -> None:
        """The peer has done something of use. Data counts by its amount."""
        if trickle_bytes is not None:
            now = min(now, self._last_sign_at + trickle_bytes / SLOWEST_PEER_BYTES_PER_SECOND)
        self._last_sign_at = now
        self._patience.heard(now)

    def _closed(self, is_timed_out: bool) -> None:
        has_work = bool(self._asking.has_tasks or self._is_serving)
        if self._turn is not Turn.ENDING and (self._turn is not Turn.ASKED_TO_END or has_work):
            raise LineLost("the peer has ended the line protocol")
        if not is_timed_out:
            self._serving.confirm_all()  # what the peer closes, it has read to the end
        self._turn = Turn.OVER

    def _file_on(self, channel: Channel) -> IncomingFile:
        incoming = self._talk.incoming.get(channel)
        if incoming is None:
            raise RemoteProtocolError("data that belongs to no file")
        return incoming

    def _said(self, channel: Channel, text: bytes, now: float) -> None:
        self._untaken_commands += 1
        if self._untaken_commands > MAX_UNTAKEN_COMMANDS:
            raise RemoteProtocolError("the peer asks on without taking our answers")
        match parse(text):
            case Send() | Execute() | Fetch() | RemoteCopy() as request:
                self._check_turn(channel)
                self._serving.asked(channel, request, now)
            case Garbled(letter, reason):
                self._check_turn(channel)
                self._serving.garbled(channel, letter, reason, now)
            case HangUp():
                self._asked_to_end(now)
            case HangUpReply(is_agreed):
                self._end_answered(is_agreed, now)
            case reply:
                self._answered(channel, reply, now)

    def _check_turn(self, channel: Channel) -> None:
        """Raises: RemoteProtocolError if the peer may not make a request here and now."""
        may_ask = channel not in self._talk.incoming and channel not in self._serving.served
        if self._line.is_full_duplex:
            may_ask &= not channel.is_ours and channel.number > 0
        else:
            may_ask &= self._turn is Turn.SLAVE
        if not may_ask:
            raise RemoteProtocolError("a request out of turn")

    def _answered(self, channel: Channel, reply: Reply, now: float) -> None:
        """A reply to one of our requests, or the peer's word about a file it fetched."""
        is_ours = self._asking.answered(channel, reply, now)
        if not is_ours and not self._serving.answered(channel, reply, now):
            raise RemoteProtocolError(f"{type(reply).__name__} in answer to nothing")

    # --- what can be done without another word from the peer

    def _work_on(self, now: float) -> None:
        self._settle(now)
        if self._turn is Turn.ANSWERS_END:
            self._answer_end(now)
        self._has_more = self._takes_work
        while self._may_ask() and (job := self._next_job()) is not None:
            self._asking.begin(job, now)
        if self._turn is Turn.MASTER and self._is_idle():
            self._turn = Turn.ASKED_TO_END
            self._line.send_command(MAIN, b"H", now)

    @property
    def _takes_work(self) -> bool:
        return not (self._is_stopping or self._asking.gives_turn)

    def _may_ask(self) -> bool:
        is_our_turn = self._turn in _TALKING if self._line.is_full_duplex else self._is_master
        return is_our_turn and self._takes_work and self._asking.has_room

    @property
    def _is_master(self) -> bool:
        return self._turn is Turn.MASTER

    def _next_job(self) -> Job | None:
        job = self._talk.work.next_job(self._talk.agreement.worst_grade)
        if isinstance(job, Thinking):
            return None
        self._has_more = job is not None
        return job

    def _is_idle(self) -> bool:
        """Whether there is nothing more to do but to hang up."""
        return not self._has_more and not self._is_serving and self._asking.is_idle

    @property
    def _is_serving(self) -> bool:
        return bool(self._serving.served) or self._is_receiving

    @property
    def _is_receiving(self) -> bool:
        return any(incoming.is_awaited for incoming in self._talk.incoming.values())

    def _settle(self, now: float) -> None:
        """Give our word about the files whose fate is known."""
        for channel, incoming in list(self._talk.incoming.items()):
            if incoming.is_decided:
                del self._talk.incoming[channel]
                if incoming.is_answered:
                    self._give_word(incoming, now)

    def _give_word(self, incoming: IncomingFile, now: float) -> None:
        sink = incoming.sink
        is_stored = not incoming.is_excessive and (sink is None or sink.verdict is Verdict.STORED)
        error = "" if is_stored else incoming.failure
        if sink is not None and not incoming.is_as_announced:
            sizes = f"{incoming.reached_bytes} bytes instead of {incoming.announced_bytes}"
            self._talk.reports.log(f"A file came with {sizes}", incoming.user)
        self._talk.reports.came(incoming, now, error)
        self._talk.reply(incoming.channel, Confirmed() if is_stored else NotStored(), now)
        is_ours = self._asking.fetched(incoming, is_stored, error, now)
        if not is_ours and is_stored and sink is not None:
            self._serving.stored(incoming.channel, sink)

    # --- hanging up

    def _asked_to_end(self, now: float) -> None:
        """H: the peer has no more work."""
        may = self._turn is Turn.SLAVE or (self._line.is_full_duplex and self._turn in _TALKING)
        if not may:
            raise RemoteProtocolError("H out of turn")
        self._turn = Turn.ANSWERS_END
        if not self._line.is_full_duplex:
            self._serving.confirm_all()

    def _answer_end(self, now: float) -> None:
        if self._asking.has_tasks or self._serving.served:
            self._take_turn(now)
            return
        if self._is_receiving:
            return  # it is complete, but not stored yet
        job = (
            None
            if self._is_stopping
            else self._talk.work.next_job(self._talk.agreement.worst_grade)
        )
        if isinstance(job, Thinking):
            return
        if job is None:
            self._agree_to_end(now)
        else:
            self._take_turn(now)
            self._asking.begin(job, now)

    def _take_turn(self, now: float) -> None:
        self._talk.reply(MAIN, HangUpReply(False), now)
        self._turn = Turn.MASTER
        self._asking.gives_turn = False

    def _agree_to_end(self, now: float) -> None:
        """Say HY. As the master this is the answer to HY, which old slaves wait for."""
        self._talk.reply(MAIN, HangUpReply(True), now)
        self._turn = Turn.ENDING
        self._line.close(now)

    def _end_answered(self, is_agreed: bool, now: float) -> None:
        """HY or HN."""
        if self._turn is not Turn.ASKED_TO_END:
            raise RemoteProtocolError("an answer to H that was not asked")
        if is_agreed:
            self.peer_agreed = True
            self._serving.confirm_all()
            self._give_up("the peer hung up without a word about it", now)
            self._agree_to_end(now)
        else:
            self._turn = Turn.SLAVE
            self._asking.gives_turn = False
