"""Jobs as users wish for them (uux, uucp), put into the queue.

A copy is one job. So is a command with nothing but its standard input: the E of the protocol, or
its two files for a neighbour that does not know E, which the session sees to. A command that needs
more (files beside its input, its output somewhere, its input back on failure) becomes one job for
each file, with names of ours in the neighbour's spool, and behind them one for the X. file that
names them all: the neighbour runs it when the last of them is there.

The jobs of one wish have ids that begin alike, ID, ID-1, ID-2 ...: to the user they are one.

Wishes are plain values, so that they can be handed to another process. Contents go beside them, and
are named by their place in a list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.config.uucp_values import is_grade
from relaynode.errors import EX_DATAERR, RelaynodeError
from relaynode.queue.content import Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob
from relaynode.queue.uucp.names import remote_name
from relaynode.uucico.journal import Journal
from relaynode.uucp.commands import printable
from relaynode.uucp.names import is_spool_like
from relaynode.uucp.xfile import ExecutionFile, NeededFile, format_execution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relaynode.neighbours import Neighbours
    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import Job

PLAIN_FLAGS = frozenset("NZe")
"""Those that an E can say."""

_FILE_MODE = 0o666
"""Of what is kept in the neighbour's spool."""


_COPY_OPTIONS = frozenset("dfmn")
_EXECUTION_FLAGS = frozenset("NZBe")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SPACE = re.compile(r"\s")


class BadWish(RelaynodeError):
    """A wish that no command line can make; its texts would be read as more than they are."""

    exit_code = EX_DATAERR


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyWish:
    """A file to the neighbour, or from it. `content`: which content is its copy; None: none, the
    file itself is read when it goes. The rest as in NewJob."""

    kind: JobKind
    source: str
    target: str
    options: str = ""
    mode: int = 0o644
    notify: str = ""
    content: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWish:
    """A file that a command needs. `source`: the file. `name`: what the command finds it as, "" for
    its standard input. `content`: as in CopyWish."""

    source: str = ""
    name: str = ""
    content: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionWish:
    """A command at the neighbour's.

    `command`: its words. `flags`: letters of the X. file (N, Z, B, e). `result_address`: who is
    told how it went, "" for who asks. `input`: its standard input, if that is ours; `input_path`:
    if it is a file there. `output`, `output_system`: where its output goes, "" for nowhere and for
    there.
    """

    command: tuple[str, ...]
    flags: str = ""
    result_address: str = ""
    input: FileWish | None = None
    input_path: str = ""
    files: tuple[FileWish, ...] = ()
    output: str = ""
    output_system: str = ""

    @property
    def is_plain(self) -> bool:
        """Does one E say all of it?"""
        is_copied = self.input is None or self.input.content is not None
        has_more = bool(self.files or self.output or self.input_path)
        return is_copied and not has_more and set(self.flags) <= PLAIN_FLAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user asks of one neighbour: copies, which are one job to him, or an execution."""

    neighbour: str
    user: str
    grade: str = "N"
    copies: tuple[CopyWish, ...] = ()
    execution: ExecutionWish | None = None


async def queue_all(
    store: Store,
    neighbours: Neighbours,
    wishes: Sequence[Wish],
    contents: Sequence[Content],
    now: float,
) -> list[str]:
    """Queue wishes, and note them in the journal; the ids that the user knows them by.

    Each wish is queued whole or not at all. `contents`: each belongs to one wish; what is not
    queued is discarded. `now`: epoch seconds. Raises: BadWish, StoreError.
    """
    journal = Journal(neighbours.log, neighbours.stats)
    left = dict(enumerate(contents))
    ids = []
    try:
        for wish in wishes:
            our_name = our_name_for(neighbours, wish.neighbour)
            jobs = await queue(store, wish, contents, our_name, now)
            for place in contents_of(wish):
                left.pop(place, None)
            note_queued(journal, jobs)
            ids.append(known_as(jobs[0]))
    finally:
        for content in left.values():
            content.discard()
    return ids


async def queue(
    store: Store, wish: Wish, contents: Sequence[Content], our_name: str, now: float
) -> list[Job]:
    """Queue what is wished for, all or nothing; the jobs it became.

    `our_name`: what we are called by that neighbour. Raises: BadWish, StoreError.
    """
    check(wish)
    making = _Making(wish, contents, now)
    if wish.execution is None:
        jobs = [making.copy(number, copy) for number, copy in enumerate(wish.copies)]
    elif wish.execution.is_plain:
        jobs = [making.execution(wish.execution)]
    else:
        taken = store.uucp.neighbours.take_number
        files = [one for one in (wish.execution.input, *wish.execution.files) if one is not None]
        numbers = [await taken(wish.neighbour, now) for _ in (*files, None)]
        jobs = making.with_files(wish.execution, files, numbers, our_name)
    return await store.uucp.jobs.add(jobs)


def check(wish: Wish) -> None:
    """What becomes lines on the wire and in an X. file must not be lines already, nor may a copy
    take the name of an X. file: it would speak for other users. Raises: BadWish."""
    if (wish.execution is None) == (not wish.copies) or not is_grade(wish.grade):
        raise BadWish("no job can be made of this")
    for text in _texts(wish):
        if _CONTROL.search(text):
            raise BadWish(f"a control character in {printable(text)[:60]}")
    for copy in wish.copies:
        if copy.kind not in (JobKind.SEND, JobKind.FETCH, JobKind.REQUEST):
            raise BadWish("no kind of copy")
        if not set(copy.options) <= _COPY_OPTIONS or not 0 <= copy.mode <= 0o777:
            raise BadWish("no options of a copy")
        if copy.kind is JobKind.SEND and is_spool_like(copy.target):
            raise BadWish(f"{copy.target}: a name in the neighbour's spool")
    if wish.execution is not None:
        _check_execution(wish.execution)


def _check_execution(wish: ExecutionWish) -> None:
    if not wish.command or not set(wish.flags) <= _EXECUTION_FLAGS:
        raise BadWish("no command, or no flags of one")
    names = [*wish.command, *(file.name for file in wish.files)]
    for name in (*names, wish.result_address, wish.output, wish.output_system, wish.input_path):
        if _SPACE.search(name):
            raise BadWish(f"{name}: not one word")
    if is_spool_like(wish.output) or is_spool_like(wish.input_path):
        raise BadWish("a name in the neighbour's spool")


def _texts(wish: Wish) -> Iterator[str]:
    yield from (wish.neighbour, wish.user)
    for copy in wish.copies:
        yield from (copy.source, copy.target, copy.notify)
    if (asked := wish.execution) is not None:
        yield from asked.command
        yield from (asked.result_address, asked.input_path, asked.output, asked.output_system)
    for file in files_of(wish):
        if isinstance(file, FileWish):
            yield from (file.source, file.name)


class _Making:
    """Makes the jobs of one wish."""

    def __init__(self, wish: Wish, contents: Sequence[Content], now: float) -> None:
        self._wish = wish
        self._contents = contents
        self._now = now
        self._id = new_queue_id()

    def _job(
        self,
        kind: JobKind,
        number: int = 0,
        *,
        source: str = "",
        target: str = "",
        options: str = "",
        mode: int = _FILE_MODE,
        notify: str = "",
        command: str = "",
        content: Content | None = None,
    ) -> NewJob:
        return NewJob(
            f"{self._id}-{number}" if number else self._id,
            self._wish.neighbour,
            kind,
            self._wish.user,
            self._now,
            self._wish.grade,
            source,
            target,
            options,
            mode,
            notify,
            command,
            content,
        )

    def _content(self, place: int | None) -> Content | None:
        return None if place is None else self._contents[place]

    def copy(self, number: int, copy: CopyWish) -> NewJob:
        return self._job(
            copy.kind,
            number,
            source=copy.source,
            target=copy.target,
            options=copy.options,
            mode=copy.mode,
            notify=copy.notify,
            content=self._content(copy.content),
        )

    def execution(self, wish: ExecutionWish) -> NewJob:
        given = self._content(wish.input.content) if wish.input is not None else None
        return self._job(
            JobKind.EXECUTE,
            options=wish.flags + "R" * bool(wish.result_address),
            notify=wish.result_address,
            command=" ".join(wish.command),
            content=given if given is not None else Content.of(b""),
        )

    def with_files(
        self, wish: ExecutionWish, files: list[FileWish], numbers: list[int], our_name: str
    ) -> list[NewJob]:
        """The files first: the arrival of the X. file starts the command."""
        grade = self._wish.grade
        names = [remote_name("D", our_name, grade, number) for number in numbers[:-1]]
        jobs = [
            self._job(
                JobKind.SEND,
                place,
                source=file.source,
                target=name,
                content=self._content(file.content),
            )
            for place, (file, name) in enumerate(zip(files, names, strict=True), start=1)
        ]
        execution = ExecutionFile(
            command=wish.command,
            user=self._wish.user,
            system=our_name,
            input=names[0] if wish.input is not None else wish.input_path,
            output=wish.output,
            output_system=wish.output_system,
            files=tuple(
                NeededFile(name, file.name) for file, name in zip(files, names, strict=True)
            ),
            results_to=wish.result_address,
            mails_on_failure="Z" in wish.flags,
            mails_never="N" in wish.flags,
            returns_input="B" in wish.flags,
            wants_shell="e" in wish.flags,
        )
        content = Content.of(format_execution(execution))
        target = remote_name("X", our_name, grade, numbers[-1])
        command = " ".join(wish.command)
        return [*jobs, self._job(JobKind.SEND, target=target, command=command, content=content)]


def files_of(wish: Wish) -> Iterator[FileWish | CopyWish]:
    """The files of ours that a wish is about."""
    yield from (copy for copy in wish.copies if copy.kind is JobKind.SEND)
    if wish.execution is not None:
        if wish.execution.input is not None:
            yield wish.execution.input
        yield from wish.execution.files


def contents_of(wish: Wish) -> list[int]:
    """The places of the contents that a wish names."""
    return [one.content for one in files_of(wish) if one.content is not None]


# --- how they are shown


def our_name_for(neighbours: Neighbours, name: str) -> str:
    """What a neighbour calls us."""
    found = neighbours.find(name)
    terms = found.all_terms if found is not None else []
    return terms[0].our_name if terms else neighbours.our_name


def known_as(job: Job) -> str:
    """The id by which users know a job: what -j prints and uustat takes."""
    return f"{job.neighbour}.{job.grade}{group_of(job.job_id)}"


def group_of(job_id: str) -> str:
    """What the ids of the jobs of one wish have in common."""
    return job_id.partition("-")[0]


def note_queued(journal: Journal, jobs: Iterable[Job]) -> None:
    """Write the jobs of one wish into the journal, as Taylor's uux and uucp do."""
    jobs = list(jobs)
    command = next((job.command for job in jobs if job.command), "")
    if command:
        files = " ".join(job.source or job.temp for job in jobs)
        journal.note("uux", jobs[0].neighbour, jobs[0].user, f"Queuing {command} ({files})")
        return
    for job in jobs:
        verb = "send" if job.kind is JobKind.SEND else "request"
        text = f"Queuing {verb} of {job.source} to {job.target}"
        journal.note("uucp", job.neighbour, job.user, text)
