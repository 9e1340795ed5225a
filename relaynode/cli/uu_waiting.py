"""What waits for UUCP neighbours, as uustat shows it: jobs, and mail that is routed to one.

Mail has no job before a session takes it along: it waits as a message, and each neighbour that it
is to go to sees it as an rmail execution. Its id here is its queue id behind the grade it will go
with, and `uustat -k` takes it like that of a job. The job that carries it is not shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.mailers.uux import GRADE
from relaynode.policy.expand import final_route
from relaynode.queue.model import RecipientState
from relaynode.queue.uucp.model import JobKind
from relaynode.uucico.queueing import group_of, known_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.node import Node
    from relaynode.queue.model import QueuedMessage
    from relaynode.queue.uucp.model import Job

_BY_UUCP = ("neighbour", "uucp")
"""Ways of mail that goes in our own calls, and of mail for the system's uux."""

_LOCAL = "local "
"""How the source of mail begins that a user of this machine has sent."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits. `id`: what users call it. `at`: since when, epoch seconds. `command`:
    of an execution, "" for copies. `texts`: what will be done, a line for each file. `job_ids`: in
    the store; `queue_id`: of mail. `is_whole`: it is all that there is of it: of mail, that no
    recipient waits for anything else.
    """

    id: str
    neighbour: str
    user: str
    at: float
    command: str
    texts: tuple[str, ...]
    job_ids: tuple[str, ...] = ()
    queue_id: str = ""
    is_whole: bool = True

    @property
    def command_name(self) -> str:
        """The command without its arguments."""
        return self.command.partition(" ")[0]


async def waiting(node: Node, neighbour: str | None = None) -> list[Waiting]:
    """All that waits for that neighbour, or for all, neighbour by neighbour.

    Raises: StoreError, TableError.
    """
    queued = await node.store.uucp.jobs.find(neighbour)
    jobs = waiting_jobs([job for job in queued if job.kind is not JobKind.MAIL])
    mail = await waiting_mail(node, neighbour)
    names = [one.name for one in node.neighbours]
    rank = {name: place for place, name in enumerate(names)}
    found = [*mail, *jobs]
    return sorted(found, key=lambda one: (rank.get(one.neighbour, len(rank)), one.neighbour))


def waiting_jobs(jobs: list[Job]) -> list[Waiting]:
    """The same of jobs, those of one wish as one."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(group_of(job.job_id), []).append(job)
    return [_of_group(group) for group in groups.values()]


def _of_group(group: list[Job]) -> Waiting:
    first = group[0]
    command = next((job.command for job in group if job.command), "")
    if command:
        size = sum(_size_of(job) for job in group)
        texts: tuple[str, ...] = (f"Executing {command} (sending {size} bytes)",)
    else:
        texts = tuple(map(_copy_text, group))
    ids = tuple(job.job_id for job in group)
    return Waiting(
        known_as(first), first.neighbour, first.user, first.queued_at, command, texts, ids
    )


def _copy_text(job: Job) -> str:
    if job.kind is JobKind.SEND:
        return f"Sending {job.source or job.temp} ({_size_of(job)} bytes) to {job.target}"
    if job.kind is JobKind.CALL:
        return "Calling"
    return f"Requesting {job.source} to {job.target}"


def _size_of(job: Job) -> int:
    """Of what goes with a job; of a file that was not copied, as it is now."""
    if job.size_bytes is not None or job.kind is not JobKind.SEND:
        return job.size_bytes or 0
    try:
        return Path(job.source).stat().st_size
    except (OSError, ValueError):
        return 0


async def waiting_mail(node: Node, neighbour: str | None = None) -> list[Waiting]:
    """Messages in the queue that are routed to that neighbour, or to any, the oldest first.

    Raises: StoreError, TableError.
    """
    found = []
    for message in await node.store.messages():
        routed = _routed(node, message)
        for name, users in routed.items():
            if name and neighbour in (None, name):
                known = node.neighbours.find(name)
                grade = known.mail.grade_of(message.size_bytes) if known is not None else GRADE
                found.append(_of_message(message, f"{name}.{grade}", users, len(routed) == 1))
    return found


def _routed(node: Node, message: QueuedMessage) -> dict[str, list[str]]:
    """The recipients that wait, as the neighbours see them, by neighbour; "": by no neighbour."""
    routing, ways = node.rules.routing, node.parts.ways
    users: dict[str, list[str]] = {}
    for recipient in message.recipients:
        if recipient.state is RecipientState.WAITING:
            route = final_route(routing, recipient.forward_path)
            way = ways.way_of(route, message.envelope.reverse_path)
            users.setdefault(way.name if way.kind in _BY_UUCP else "", []).append(route.user)
    return users


def _of_message(
    message: QueuedMessage, grade_there: str, users: list[str], is_whole: bool
) -> Waiting:
    """`grade_there`: the neighbour, and the grade of mail that is so long."""
    command = " ".join(("rmail", *users))
    return Waiting(
        f"{grade_there}{message.queue_id}",
        grade_there.rpartition(".")[0],
        sender_of(message),
        message.arrived_at,
        command,
        (f"Executing {command} (sending {message.size_bytes - message.lines} bytes)",),
        queue_id=message.queue_id,
        is_whole=is_whole,
    )


def sender_of(message: QueuedMessage) -> str:
    """The local user who sent a message, else its reverse-path."""
    if message.source.startswith(_LOCAL):
        return message.source.removeprefix(_LOCAL)
    return message.envelope.reverse_path or "uucp"


def lines(found: Waiting, when: str) -> Iterator[str]:
    """What uustat prints of it. `when`: its time."""
    for place, text in enumerate(found.texts):
        yield f"{'-' if place else found.id} {found.neighbour} {found.user} {when} {text}"
