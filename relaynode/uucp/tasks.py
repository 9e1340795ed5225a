"""A job of ours, as the requests that it takes: one, or two for a peer that does not know E."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.uucp.commands import Execute, Fetch, RemoteCopy, Request, Send
from relaynode.uucp.features import Features
from relaynode.uucp.xfile import ExecutionFile, NeededFile, format_execution

if TYPE_CHECKING:
    from relaynode.uucp.incoming import IncomingFile
    from relaynode.uucp.line import Channel
    from relaynode.uucp.outgoing import OutgoingFile
    from relaynode.uucp.work import Job, Source


class BytesSource:
    """A file in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size_bytes = len(content)

    def read(self, position: int, size_bytes: int) -> bytes:
        """A part of it."""
        return self._content[position : position + size_bytes]


@dataclass(slots=True)
class Step:
    """One request, and the file that goes with it."""

    request: Request
    source: Source | None = None


@dataclass(slots=True, eq=False)
class Task:
    """A job under way. `file`, `fetched`: what is moved for the step that was asked last."""

    job: Job
    channel: Channel
    steps: deque[Step]
    began_at: float
    step: Step | None = None
    file: OutgoingFile | None = None
    fetched: IncomingFile | None = None
    is_granted: bool = False
    sent_bytes: int = field(default=0)

    @property
    def user(self) -> str:
        """Whose job it is."""
        return self.job.request.user

    @property
    def is_settled(self) -> bool:
        """Whether nothing new can come of the peer's answer."""
        return self.is_granted or not self.job.has_another_form

    @property
    def is_all_sent(self) -> bool:
        """Whether only the peer's word is missing."""
        return not self.steps and self.file is not None and self.file.is_ended


def steps_of(job: Job, features: Features, own_name: str) -> deque[Step]:
    """What must be asked of a peer with these features to get a job done."""
    request, source = job.request, job.source
    if isinstance(request, Fetch | RemoteCopy):
        return deque((Step(request),))
    assert source is not None, "a job that sends must have a source"
    request = replace(request, size=source.size_bytes)
    if isinstance(request, Execute) and not features & Features.EXECUTE:
        return deque(_two_steps(request, source, own_name))
    return deque((Step(request, source),))


def _two_steps(request: Execute, source: Source, own_name: str) -> list[Step]:
    """The data first: the arrival of the execution file starts the job."""
    data = Send(
        request.source,
        request.target,
        request.user,
        temp=request.temp,
        mode=request.mode,
        size=request.size,
    )
    content = format_execution(_execution_of(request, own_name))
    number = request.temp.rpartition(".")[2]
    name = f"D.X{number[-4:]}"
    execution = Send(
        name,
        "X" + request.target[1:],
        request.user,
        temp=name,
        mode=request.mode,
        size=len(content),
    )
    return [Step(data, source), Step(execution, BytesSource(content))]


def _execution_of(request: Execute, own_name: str) -> ExecutionFile:
    """What the peer would make of the E command by itself."""
    return ExecutionFile(
        command=tuple(request.command.split()),
        user=request.user,
        system=own_name,
        input=request.target,
        files=(NeededFile(request.target),),
        results_to=request.notify if "R" in request.options else "",
        mails_never="N" in request.options,
        mails_on_failure="Z" in request.options,
        wants_shell="e" in request.options,
    )


def title(request: Request) -> str:
    """What a log calls a request."""
    if isinstance(request, Execute):
        return f"{request.command} ({request.temp})"
    return request.source
