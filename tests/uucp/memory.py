"""Work and gates in memory, for tests of sessions and calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.uucp.commands import Code, Execute, Fetch, RemoteCopy, Send
from relaynode.uucp.names import PublicPath, SpoolName
from relaynode.uucp.tasks import BytesSource
from relaynode.uucp.work import THINKING, Duplicate, Job, OpenedFile, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.names import Target
    from relaynode.uucp.work import Outcome, Thinking


class MemorySink:
    """A file that arrives. With `decides_later` the verdict waits for `decide`."""

    def __init__(self, part: bytes = b"", *, decides_later: bool = False) -> None:
        self.content = bytearray(part)
        self.position = len(part)
        self.verdict: Verdict | None = None
        self.is_committed = False
        self.is_abandoned = False
        self.keeps_part = False
        self.is_confirmed = False
        self._decides_later = decides_later
        self.final: Verdict = Verdict.STORED
        self.on_commit: Callable[[], None] = lambda: None
        self.on_confirmed: Callable[[], None] = lambda: None

    def write(self, position: int, content: bytes) -> None:
        assert position <= len(self.content), "a hole"
        assert not self.is_committed
        self.content[position : position + len(content)] = content

    def commit(self, size_bytes: int) -> None:
        assert not self.is_committed
        assert size_bytes <= len(self.content)
        del self.content[size_bytes:]
        self.is_committed = True
        self.on_commit()
        if not self._decides_later:
            self.decide()

    def decide(self) -> None:
        self.verdict = self.final

    def abandon(self, keeps_part: bool) -> None:
        assert not self.is_abandoned and not self.is_committed
        self.is_abandoned = True
        self.keeps_part = keeps_part

    def confirmed(self) -> None:
        assert not self.is_confirmed
        self.is_confirmed = True
        self.on_confirmed()


@dataclass
class Received:
    """A file that came, or is coming."""

    request: Send | Execute
    target: Target
    sink: MemorySink


@dataclass
class MemoryWork:
    """A neighbour's work: a list of jobs, and what came of them.

    `parts`, `marks` survive from one session to the next, by the peer's temp name.
    """

    jobs: list[Job] = field(default_factory=list)
    public: dict[str, bytes] = field(default_factory=dict)
    refuse: Callable[[Send | Execute | Fetch], Code | None] = lambda request: None
    queues_copies: bool = False
    parts: dict[str, bytes] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    outcomes: list[tuple[Job, Outcome]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    copies: list[RemoteCopy] = field(default_factory=list)
    fetches: list[tuple[Fetch, bool]] = field(default_factory=list)
    is_thinking: bool = False
    decides_later: bool = False
    final: Verdict = Verdict.STORED

    def next_job(self, worst_grade: str | None) -> Job | Thinking | None:
        if self.is_thinking:
            return THINKING
        for job in sorted(self.jobs, key=lambda job: job.grade):
            if worst_grade is None or job.grade <= worst_grade:
                self.jobs.remove(job)
                return job
        return None

    def ended(self, job: Job, outcome: Outcome) -> None:
        assert all(job is not other for other, _ in self.outcomes), "told twice"
        self.outcomes.append((job, outcome))

    def offered(self, request: Send | Execute, target: Target) -> MemorySink | Duplicate | Code:
        if request.temp in self.marks:
            return Duplicate(lambda: self.marks.discard(request.temp))
        if (code := self.refuse(request)) is not None:
            return code
        sink = MemorySink(self.parts.get(request.temp, b""), decides_later=self.decides_later)
        sink.final = self.final
        sink.on_commit = lambda: self._mark(request.temp)
        sink.on_confirmed = lambda: self.marks.discard(request.temp)
        self.received.append(Received(request, target, sink))
        return sink

    def _mark(self, temp: str) -> None:
        if temp != "D.0" and self.final is Verdict.STORED:
            self.marks.add(temp)
        self.parts.pop(temp, None)

    def wanted(self, request: Fetch, path: PublicPath) -> OpenedFile | Code:
        content = self.public.get("/".join(path.components))
        if content is None:
            return Code.NOT_PERMITTED
        return OpenedFile(BytesSource(content), 0o644)

    def fetched(self, request: Fetch, is_confirmed: bool) -> None:
        self.fetches.append((request, is_confirmed))

    def copy_wanted(self, request: RemoteCopy) -> bool:
        self.copies.append(request)
        return self.queues_copies

    # --- for tests

    def keep_parts(self) -> None:
        """After a call that broke: what a real store would have kept."""
        for one in self.received:
            if one.sink.is_abandoned and one.sink.keeps_part:
                self.parts[one.request.temp] = bytes(one.sink.content)

    @property
    def files(self) -> list[bytes]:
        """The contents that were stored."""
        stored = (one for one in self.received if one.sink.verdict is Verdict.STORED)
        return [bytes(one.sink.content) for one in stored]

    @property
    def executions(self) -> list[tuple[str, bytes]]:
        """Command and input of the executions that came as E."""
        return [
            (one.request.command, bytes(one.sink.content))
            for one in self.received
            if isinstance(one.request, Execute) and one.sink.verdict is Verdict.STORED
        ]

    def spool(self) -> dict[str, bytes]:
        """Stored spool files by name."""
        return {
            one.target.name: bytes(one.sink.content)
            for one in self.received
            if isinstance(one.target, SpoolName) and one.sink.verdict is Verdict.STORED
        }


@dataclass
class OpenGate:
    """Lets in `names`, with the answers that a test wants."""

    names: tuple[str, ...] = ("alpha",)
    fits: bool = True
    back: bool = False
    is_free: bool = True
    sequence: int | None = None
    asked: list[str] = field(default_factory=list)

    def known_as(self, stated: str) -> str | None:
        self.asked.append("known")
        return stated if stated in self.names else None

    def login_fits(self, name: str) -> bool:
        self.asked.append("login")
        return self.fits

    def calls_back(self, name: str) -> bool:
        self.asked.append("back")
        return self.back

    def lock(self, name: str) -> bool:
        self.asked.append("lock")
        return self.is_free

    def expected_sequence(self, name: str) -> int | None:
        self.asked.append("sequence")
        return self.sequence

    def count_sequence(self, name: str) -> None:
        assert self.sequence is not None
        self.sequence += 1

    def protocols(self, name: str) -> str:
        return ""


def send_job(content: bytes, number: int = 1, target: str = "~/in/file", grade: str = "N") -> Job:
    """A file to be sent."""
    temp = f"D.{number:04d}"
    request = Send(f"/home/u/file{number}", target, "uucp", "C", temp)
    return Job(request, grade, BytesSource(content))


def mail_job(content: bytes, number: int = 1, grade: str = "C", to: str = "bob") -> Job:
    """A mail: the execution of rmail."""
    temp = f"D.{number:04d}"
    request = Execute(
        temp, f"D.alphaC{number:04d}", "uucp", "CR", temp, notify="alice", command=f"rmail {to}"
    )
    return Job(request, grade, BytesSource(content))


def fetch_job(source: str = "~/out", sink: MemorySink | None = None) -> Job:
    """A file to be fetched."""
    return Job(Fetch(source, "/home/u/got", "uucp"), "N", sink=sink or MemorySink())
