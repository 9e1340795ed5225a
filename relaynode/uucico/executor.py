"""Runs what neighbours asked for, once its files are here (Taylor's uuxqt).

    exit 0       done; its output, if wanted, becomes a job or a public file
    exit 75      tried again later, as is what was killed or took too long, up to MAX_TRIES
    others       failed; its files stay for the operator until they are pruned

A letter tells the one who asked: when it failed, unless the X. file says N, and when it was done if
that says n. What ends, and what comes of it (letter, output), is one commit. Commands that this
program knows itself (`Builtin`) queue what they queue in that same commit.

A neighbour's commands run one after the other. Of those that are known to be short (`rmail`) a few
run at the same time, so that they share their commits.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relaynode.errors import NotClaimed, StoreError, StoreFull
from relaynode.queue.content import INLINE_BYTES, Content, store_error
from relaynode.queue.finish import finish
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob, Settled, WorkOutcome, WorkState
from relaynode.uucico import commands
from relaynode.uucico.commands import NotPermitted
from relaynode.uucico.folders import is_allowed
from relaynode.uucico.journal import Journal
from relaynode.uucico.post import Letter, LetterRate
from relaynode.uucico.running import Ran, Surroundings, run
from relaynode.uucico.tree import Placing, open_public, place
from relaynode.uucp.commands import printable
from relaynode.uucp.names import Forbidden, is_spool_like, is_system_name, public_path, spool_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from relaynode.mailers.users import User
    from relaynode.neighbours import Terms
    from relaynode.queue.content import Draft
    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import ClaimedExecution, Execution, NewExecution
    from relaynode.uucico.post import Post

T = TypeVar("T")

_log = logging.getLogger(__name__)

EX_TEMPFAIL = 75
MAX_TRIES = 12
"""Of a command that asks for another one each time, or takes too long."""

WAIT_SECONDS = (300.0, 900.0, 3600.0, 7200.0)
"""Before the second, third ... try; the last one repeats."""

TOGETHER = 16
"""Short commands of a neighbour's that run at the same time."""

MISSING_SECONDS = 7 * 24 * 3600.0
"""How long an execution waits for a file that does not come. Taylor's waits for ever."""


class Builtin(Protocol):
    """A command that this program runs itself."""

    async def __call__(self, claimed: ClaimedExecution, done: Settled) -> Ran | None:
        """Do it. None: it is done, and `done` was committed with what it made. Else it was not
        done, for the reason in Ran, and nothing was committed. Raises: StoreError, NotClaimed."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """`work`: the folder in which commands get theirs. `user`: as whom they run, if we are root.
    `hostname`: ours, for letters."""

    work: Path
    hostname: str
    user: User | None = None
    timeout_seconds: float = 3600.0
    missing_seconds: float = MISSING_SECONDS


class Executor:
    """`terms_of`: what holds for a neighbour; None if there is no such (any more). `builtins`: by
    the command's name; they too must be on the neighbour's list. `short`: builtins that take little
    memory and time. `clock`: epoch seconds."""

    def __init__(
        self,
        store: Store,
        terms_of: Callable[[str], Terms | None],
        post: Post,
        settings: ExecutorSettings,
        *,
        clock: Callable[[], float],
        builtins: Mapping[str, Builtin] | None = None,
        short: Collection[str] = (),
        rate: LetterRate | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._store = store
        self._terms_of = terms_of
        self._post = post
        self._settings = settings
        self._clock = clock
        self._builtins = builtins or {}
        self._short = short
        self._rate = rate or LetterRate()
        self._journal = journal or Journal()

    async def run_due(self, wanted: Callable[[Execution], bool] = lambda _: True) -> int:
        """Run all that is due, the commands of one neighbour one after the other. How many ended.

        `wanted`: which of them, all if it is not given. Raises: StoreError.
        """
        await self._expire()
        due = filter(wanted, await self._store.uucp.executions.due(self._clock()))
        queues: dict[str, list[Execution]] = {}
        for execution in due:
            queues.setdefault(execution.new.neighbour, []).append(execution)
        return sum(await _all([self._run_queue(queue) for queue in queues.values()]))

    async def _run_queue(self, queue: Sequence[Execution]) -> int:
        count = 0
        for group in self._groups(queue):
            claimed = await self._store.uucp.executions.claim_together(group)
            # None: another process is at it. A thread cannot be called off: what a command did
            # must be recorded.
            await finish(_all([self._run_one(one) for one in claimed]))
            count += len(claimed)
        return count

    def _groups(self, queue: Sequence[Execution]) -> Iterator[list[str]]:
        """The ids of executions in their order: some short ones at once, others alone."""
        for is_short, group in groupby(queue, key=lambda one: self._is_short(one.new)):
            ids = [one.new.execution_id for one in group]
            most = TOGETHER if is_short else 1
            for start in range(0, len(ids), most):
                yield ids[start : start + most]

    def _is_short(self, new: NewExecution) -> bool:
        terms = self._terms_of(new.neighbour)
        name = new.command[0] if new.command else ""
        return name in self._short and terms is not None and self._builtin(name, terms) is not None

    def _builtin(self, name: str, terms: Terms) -> Builtin | None:
        """What runs a command here, if that is not a program."""
        return None if commands.is_own_program(name, terms) else self._builtins.get(name)

    async def _run_one(self, claimed: ClaimedExecution) -> None:
        execution_id = claimed.execution.new.execution_id
        try:
            await self._attempt(claimed)
        except NotClaimed:
            _log.warning("%s: was removed while it ran", execution_id)
        except StoreFull:
            await self._store.uucp.executions.unclaim(execution_id)
            raise
        except StoreError as error:
            # Its files may be broken, and it must not stop the others for ever.
            await self._judge(claimed, Ran(None, str(error)))

    async def _attempt(self, claimed: ClaimedExecution) -> None:
        new = claimed.execution.new
        terms = self._terms_of(new.neighbour)
        self._note(new, f"Executing {new.execution_id} ({_shown(new)})")
        try:
            if terms is None:
                raise NotPermitted(f"{new.neighbour} is no neighbour any more")
            commands.check(new.command, terms)
            builtin = self._builtin(new.command[0], terms)
            if builtin is not None:
                ran = await builtin(claimed, self._ended(new, WorkState.DONE))
                if ran is None:
                    _log.info("%s %s: done %s", new.neighbour, new.user, _shown(new))
                    return
                await self._judge(claimed, ran)
                return
            await self._run_program(claimed, terms)
        except NotPermitted as reason:
            await self._fail(claimed, str(reason))

    async def _run_program(self, claimed: ClaimedExecution, terms: Terms) -> None:
        new = claimed.execution.new
        command = commands.find(new.command, terms)
        _check_output(new, terms)
        draft = self._store.draft(new_queue_id()) if new.output else None
        try:
            standard_input = _input(claimed, terms)
            files = {
                need.as_name or need.name: claimed.files[need.name]
                for need in new.needs
                if need.as_name or need.name != new.input_name
            }
            surroundings = Surroundings(
                self._settings.work,
                terms.command_path,
                new.neighbour,
                new.user,
                self._settings.timeout_seconds,
                self._settings.user,
            )
            ran = await asyncio.to_thread(run, command, surroundings, files, standard_input, draft)
            if ran.code == 0:
                await self._succeed(new, draft, terms)
            else:
                await self._judge(claimed, ran)
        except BaseException:
            if draft is not None:
                draft.discard()
            raise
        if draft is not None and ran.code != 0:
            draft.discard()

    # --- how it ended

    async def _judge(self, claimed: ClaimedExecution, ran: Ran) -> None:
        """It did not succeed: for now, or for ever?"""
        new, tries = claimed.execution.new, claimed.execution.tries + 1
        may_pass = ran.code is None or ran.code < 0 or ran.code == EX_TEMPFAIL
        reason = _reason(ran)
        if may_pass and tries < MAX_TRIES:
            wait = WAIT_SECONDS[min(tries, len(WAIT_SECONDS)) - 1]
            _log.info("%s %s: %s: %s", new.neighbour, new.user, _shown(new), reason)
            self._note(new, _error(reason))
            self._note(new, f"Will retry later ({new.execution_id})")
            await self._store.uucp.settle(self._ended(new, WorkState.WAITING, reason, wait))
            return
        await self._fail(claimed, reason, ran.complaint)

    async def _succeed(self, new: NewExecution, draft: Draft | None, terms: Terms) -> None:
        jobs: tuple[NewJob, ...] = ()
        if draft is not None:
            content = await asyncio.to_thread(draft.finish)
            if new.output_system:
                jobs = (self._output_job(new, content),)
            else:
                await asyncio.to_thread(_place_output, new, content, terms)
                content.discard()
        settled = self._ended(new, WorkState.DONE, new_jobs=jobs)
        _log.info("%s %s: done %s", new.neighbour, new.user, _shown(new))
        if "n" in new.flags:
            text = f"The execution you asked for at {self._settings.hostname} is done:\n"
            await self._tell(new, "Execution succeeded", text, settled)
        else:
            await self._store.uucp.settle(settled)

    def _output_job(self, new: NewExecution, content: Content) -> NewJob:
        return NewJob(
            new_queue_id(),
            new.output_system,
            JobKind.SEND,
            new.user or "uucp",
            self._clock(),
            grade=new.grade,
            target=new.output,
            content=content,
        )

    async def _fail(self, claimed: ClaimedExecution, reason: str, complaint: str = "") -> None:
        new = claimed.execution.new
        _log.warning("%s %s: failed %s: %s", new.neighbour, new.user, _shown(new), reason)
        self._note(new, _error(reason))
        self._note(new, f"Execution failed ({new.execution_id})")
        settled = self._ended(new, WorkState.FAILED, reason)
        if "N" in new.flags:
            await self._store.uucp.settle(settled)
            return
        text = f"The execution you asked for at {self._settings.hostname} has failed:\n"
        details = f"\nThe reason: {printable(reason)}\n"
        if complaint:
            details += "\nIt said:\n\n" + _quoted(complaint)
        if "B" in new.flags and (returned := claimed.files.get(new.input_name)) is not None:
            head = await asyncio.to_thread(returned.head, INLINE_BYTES)
            details += "\nIts input was:\n\n" + _quoted(head.decode("utf-8", "replace"))
        await self._tell(new, "Execution failed", text, settled, details)

    async def _tell(
        self, new: NewExecution, subject: str, text: str, settled: Settled, details: str = ""
    ) -> None:
        to = _address(new)
        if to is None or not self._rate.allows(new.neighbour, self._clock()):
            _log.warning("%s: nobody is told: %s %s", new.neighbour, subject, _shown(new))
            await self._store.uucp.settle(settled)
            return
        body = f"{text}\n    {_shown(new)}\n{details}"
        await self._post.send(Letter(to, subject, body), settled)

    def _note(self, new: NewExecution, text: str) -> None:
        self._journal.note("uuxqt", new.neighbour, new.user, text)

    def _ended(
        self,
        new: NewExecution,
        state: WorkState,
        reason: str = "",
        wait_seconds: float = 0.0,
        new_jobs: tuple[NewJob, ...] = (),
    ) -> Settled:
        now = self._clock()
        outcome = WorkOutcome(new.execution_id, state, printable(reason), now + wait_seconds)
        return Settled(now, executions=(outcome,), new_jobs=new_jobs)

    # --- what will never run

    async def _expire(self) -> None:
        """End executions whose files did not come. They are claimed by nobody, and stay so."""
        executions = self._store.uucp.executions
        for execution in await executions.find():
            age = self._clock() - execution.new.received_at
            if not execution.is_missing or execution.is_claimed:
                continue
            if age >= self._settings.missing_seconds and execution.state is WorkState.WAITING:
                claimed = await executions.claim(execution.new.execution_id, even_if_missing=True)
                if claimed is not None:
                    await self._fail(claimed, "a file that it needs has not come")


async def _all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Let all of it end; what it gave. Raises: the first error."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one for one in ended if not isinstance(one, BaseException)]


def _input(claimed: ClaimedExecution, terms: Terms) -> Content | None:
    """The standard input. Raises: NotPermitted."""
    name = claimed.execution.new.input_name
    if not name or name in claimed.files:
        return claimed.files.get(name)
    path = public_path(name, name, str(terms.public))
    if isinstance(path, Forbidden):
        raise NotPermitted(f"input {printable(name[:60])}: {path.reason}")
    full = terms.public.joinpath(*path.components)
    if not is_allowed(full, terms.remote_send, terms.public):
        raise NotPermitted(f"input {printable(name[:60])}: not to be read")
    try:
        descriptor, found = open_public(terms.public, path.components)
    except OSError as error:
        raise NotPermitted(f"input {printable(name[:60])}: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        data = file.read(INLINE_BYTES + 1)
    if len(data) > INLINE_BYTES or len(data) != found.st_size:
        raise NotPermitted(f"input {printable(name[:60])}: longer than {INLINE_BYTES} bytes")
    return Content.of(data)


def _check_output(new: NewExecution, terms: Terms) -> None:
    """Where the output is to go, before it is made. Raises: NotPermitted."""
    if not new.output:
        return
    shown = printable(new.output[:60])
    if new.output_system:
        known = {new.neighbour, *terms.forward_to}
        if new.output_system not in known or not is_system_name(new.output_system):
            raise NotPermitted(f"output {shown}: nothing is forwarded to that system")
        if is_spool_like(new.output) and isinstance(spool_name(new.output), Forbidden):
            raise NotPermitted(f"output {shown}: no name for a file")
        return
    path = public_path(new.output, new.output, str(terms.public))
    if isinstance(path, Forbidden):
        raise NotPermitted(f"output {shown}: {path.reason}")
    full = terms.public.joinpath(*path.components)
    if not is_allowed(full, terms.remote_receive, terms.public):
        raise NotPermitted(f"output {shown}: not to be written")


def _place_output(new: NewExecution, content: Content, terms: Terms) -> None:
    path = public_path(new.output, new.output, str(terms.public))
    assert not isinstance(path, Forbidden)
    placing = Placing(path.components, path.base_name, path.is_folder)
    try:
        place(terms.public, placing, content)
    except OSError as error:
        if isinstance(failure := store_error(error, printable(new.output)), StoreFull):
            raise failure from error
        raise NotPermitted(f"output {failure}") from error


def _reason(ran: Ran) -> str:
    if ran.code is None:
        return ran.complaint
    return f"signal {-ran.code}" if ran.code < 0 else f"exit status {ran.code}"


def _error(reason: str) -> str:
    """A reason as Taylor's log has it."""
    said = "Execution: " if reason.startswith(("exit status", "signal")) else ""
    return f"ERROR: {said}{reason[:1].upper()}{reason[1:]}"


def _address(new: NewExecution) -> str | None:
    """Who is told. A name that is no full address is one at the neighbour."""
    name = new.result_address or new.user
    if not name or name.startswith("-") or any(c.isspace() for c in name):
        return None
    return name if "@" in name else f"{new.neighbour}!{name}"


def _shown(new: NewExecution) -> str:
    return printable(" ".join(new.command))[:300]


def _quoted(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
