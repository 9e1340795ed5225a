"""The requests that we make of the peer, and what its answers mean for our jobs.

asked      S E R X has gone; over i and j its data may follow at once
granted    SY EY RY: the file goes, or comes
ended      CY, or a refusal; then the job is reported, or its next step is asked
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError, RemoteProtocolError
from relaynode.uucp.commands import (
    Code,
    Confirmed,
    CopyGranted,
    Execute,
    Fetch,
    FetchGranted,
    Granted,
    NotStored,
    Refused,
    Send,
    format_request,
)
from relaynode.uucp.conversation import REASONS
from relaynode.uucp.features import Features
from relaynode.uucp.incoming import IncomingFile
from relaynode.uucp.line import MAIN, Channel
from relaynode.uucp.outgoing import OutgoingFile
from relaynode.uucp.tasks import Task, steps_of, title
from relaynode.uucp.work import Ending, Outcome

if TYPE_CHECKING:
    from relaynode.uucp.commands import Reply
    from relaynode.uucp.conversation import Conversation
    from relaynode.uucp.work import Job

MAX_BACKLOG_BYTES = 65536
"""No further job is taken while so much waits to be sent."""


class Asking:
    """Our jobs under way. `gives_turn`: the peer has asked to be the master soon.

    Where the peer hears on (line.py), the next request follows a file at once. Then the file's task
    is among `gone`: the next CY or CN is for it, whatever else the request is answered with.
    """

    def __init__(self, talk: Conversation) -> None:
        self.tasks: dict[Channel, Task] = {}
        self.gone: deque[Task] = deque()
        self.gives_turn = False
        self._talk = talk

    @property
    def has_room(self) -> bool:
        """Whether another job may be begun, as far as the line goes."""
        if not self._talk.line.is_full_duplex:
            is_free = all(self._may_be_followed(task) for task in self.tasks.values())
            return is_free and not self._talk.incoming
        has_channel = len(self.tasks) < self._talk.line.channels
        return has_channel and self._talk.files.backlog_bytes < MAX_BACKLOG_BYTES

    @property
    def _hears_on(self) -> bool:
        """Whether more may follow a file before the peer's word about it.

        A relaynode would take what follows for the sign that its word has come, and forget that it
        had the file; on the lines in question it is asked for nothing early.
        """
        line = self._talk.line
        is_ours = Features.AT_ONCE in self._talk.features
        return line.hears_on and (line.is_full_duplex or not is_ours)

    def _may_be_followed(self, task: Task) -> bool:
        return self._hears_on and task.is_all_sent and not self.gone

    @property
    def has_tasks(self) -> bool:
        """Whether anything is under way."""
        return bool(self.tasks or self.gone)

    @property
    def is_idle(self) -> bool:
        """Whether H may follow.

        Where the peer hears on, its word about files that have gone need not be awaited before H:
        it will have been said when the answer to H is.
        """
        if not self._hears_on:
            return not self.has_tasks
        has_gone = all(task.is_all_sent and task.is_settled for task in self.tasks.values())
        return has_gone and not self._talk.line.has_waiting_files

    def begin(self, job: Job, now: float) -> None:
        """Ask for the first thing that a job takes."""
        size = job.source.size_bytes if job.source is not None else 0
        channel = self._free_channel()
        steps = steps_of(job, self._talk.features, self._talk.settings.own_name)
        task = Task(job, channel, steps, now)
        if (most := self._talk.max_outgoing_bytes) is not None and size > most:
            reason = f"no files over {most} bytes can be sent"
            self._report(task, Outcome(Ending.LATER, reason, Code.TOO_LARGE_NOW))
            return
        self.tasks[channel] = task
        self._ask(task, now)

    def _free_channel(self) -> Channel:
        if not self._talk.line.is_full_duplex:
            if MAIN in self.tasks:
                self.gone.append(self.tasks.pop(MAIN))
            return MAIN
        used = {channel.number for channel in self.tasks}
        return Channel(next(n for n in range(1, self._talk.line.channels + 1) if n not in used))

    def _ask(self, task: Task, now: float) -> None:
        """Ask for the next step of a job."""
        step = task.step = task.steps.popleft()
        task.is_granted = False
        try:
            text = format_request(step.request, self._talk.features)
        except LocalProtocolError as error:
            self._end(task, Ending.REFUSED, now, str(error))
            return
        self._talk.line.send_command(task.channel, text, now)
        if step.source is not None:
            runs_ahead = self._talk.line.is_full_duplex and not task.job.was_begun
            task.file = OutgoingFile(task.channel, step.source, task.job.grade, runs_ahead)
            self._talk.files.add(task.file)

    def answered(self, channel: Channel, reply: Reply, now: float) -> bool:
        """Take a reply; False if we have asked nothing there. Raises: RemoteProtocolError."""
        is_word = isinstance(reply, Confirmed | NotStored)
        task = self.gone[0] if self.gone and is_word else self.tasks.get(channel)
        if task is not None:
            self._task_answered(task, reply, now)
        return task is not None

    def _task_answered(self, task: Task, reply: Reply, now: float) -> None:
        letter = _letter(task)
        match reply:
            case Granted(reply_letter, position) if reply_letter == letter and task.file:
                self._granted(task, task.file, position, now)
            case FetchGranted() if letter == "R" and task.fetched is None:
                self._fetch_granted(task, reply, now)
            case CopyGranted() if letter == "X":
                self._end(task, Ending.DONE, now)
            case Refused(reply_letter, code) if reply_letter == letter and not task.is_granted:
                self._refused(task, code, now)
            case Confirmed(wants_turn) if _awaits_word(task):
                self.gives_turn = wants_turn and not self._talk.line.is_full_duplex
                self._step_done(task, now)
            case NotStored(code) if _awaits_word(task):
                self._end(task, Ending.REFUSED, now, "the peer could not store the file", code)
            case _:
                raise RemoteProtocolError(f"{type(reply).__name__} in answer to {letter}")

    def _granted(self, task: Task, file: OutgoingFile, position: int, now: float) -> None:
        if task.is_granted:
            raise RemoteProtocolError("a second answer to the same request")
        if position and not self._talk.line.can_restart:
            raise RemoteProtocolError(
                f"protocol {self._talk.line.letter} cannot begin at {position}"
            )
        task.is_granted = True
        has_jumped = position > file.position and not file.is_ended
        self._talk.files.grant(file, position, now)
        at = f" resume at {position}" if has_jumped else ""
        assert task.step is not None
        self._talk.reports.log(
            f"Sending {title(task.step.request)} ({file.source.size_bytes} bytes{at})", task.user
        )

    def _step_done(self, task: Task, now: float) -> None:
        """The peer has stored the file."""
        assert task.file is not None
        self._talk.reports.sent(task.user, task.file.sent_bytes, now - task.began_at)
        self._forget_file(task)
        if task.steps:
            task.began_at = now
            self._ask(task, now)
        else:
            self._end(task, Ending.DONE, now)

    def _refused(self, task: Task, code: Code, now: float) -> None:
        if task.file is not None:
            self._talk.files.refuse(task.file, now)
        if code is Code.RECEIVED_BEFORE:
            self._talk.reports.log(
                f"{title(task.job.request)}: the peer has it from an earlier call", task.user
            )
            self._forget_file(task)
            if task.steps:
                self._ask(task, now)
            else:
                self._end(task, Ending.DONE, now, "received in an earlier call", code)
            return
        ending = Ending.REFUSED if code.is_for_ever else Ending.LATER
        self._end(task, ending, now, REASONS[code], code)

    def _forget_file(self, task: Task) -> None:
        if task.file is not None:
            task.sent_bytes += task.file.sent_bytes
            self._talk.files.forget(task.file)
            task.file = None

    def _end(
        self,
        task: Task,
        ending: Ending,
        now: float,
        reason: str = "",
        code: Code | None = None,
        *,
        is_doubtful: bool = False,
    ) -> None:
        """A job of ours is over."""
        file = task.file
        if file is not None and file.sent_bytes and ending is not Ending.DONE:
            self._talk.reports.sent(task.user, file.sent_bytes, now - task.began_at, reason)
        self._forget_file(task)
        if task in self.gone:
            self.gone.remove(task)
        else:
            self.tasks.pop(task.channel, None)
        outcome = Outcome(ending, reason, code, task.sent_bytes, is_doubtful)
        self._report(task, outcome)

    def _report(self, task: Task, outcome: Outcome) -> None:
        if outcome.ending is not Ending.DONE:
            self._talk.reports.log(f"{title(task.job.request)}: {outcome.reason}", task.user)
        self._talk.work.ended(task.job, outcome)

    def _fetch_granted(self, task: Task, reply: FetchGranted, now: float) -> None:
        request = task.job.request
        assert isinstance(request, Fetch) and task.job.sink is not None
        size = "" if reply.size is None else f" ({reply.size} bytes)"
        self._talk.reports.log(f"Receiving {request.source}{size}", task.user)
        limits = [
            most for most in (request.limit, self._talk.settings.max_file_bytes) if most is not None
        ]
        task.is_granted = True
        task.fetched = IncomingFile(
            task.channel, task.job.sink, task.user, now, min(limits, default=None)
        )
        self.gives_turn = reply.wants_turn and not self._talk.line.is_full_duplex
        self._talk.expect(task.fetched)

    def fetched(self, incoming: IncomingFile, is_stored: bool, error: str, now: float) -> bool:
        """A file has come and been answered; False if it is none that we asked for."""
        task = self.tasks.get(incoming.channel)
        if task is None or task.fetched is not incoming:
            return False
        self._end(task, Ending.DONE if is_stored else Ending.REFUSED, now, error)
        return True

    def give_up(self, reason: str, now: float) -> None:
        """No more word will come: what is under way must be tried again."""
        for task in [*self.gone, *self.tasks.values()]:
            self._end(task, Ending.LATER, now, reason, is_doubtful=task.is_all_sent)


def _letter(task: Task) -> str:
    """Which replies belong to what we have asked last."""
    assert task.step is not None
    match task.step.request:
        case Send():
            return "S"
        case Execute():
            return "E"
        case Fetch():
            return "R"
        case _:
            return "X"


def _awaits_word(task: Task) -> bool:
    """Whether CY or CN may come now."""
    return task.is_granted and task.file is not None and task.file.is_ended
