"""What a session needs from the rest of the program: work to do, and a place for what comes.

The session pulls: it asks for the next job when the line has room for one, so what is most urgent
is decided at the last moment. It asks for a target when the peer offers a file, and for a source
when the peer wants one. Everything here is called from the session and must not wait; what takes
time (the queue, a commit to disk) says so (THINKING, `verdict` None) and is asked again at the next
`tick` of the session.

What these methods raise (StoreError) passes through the session: the call ends, both sides keep
what they have and try again later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.commands import Code, Execute, Fetch, RemoteCopy, Request, Send
    from relaynode.uucp.names import PublicPath, Target


class Thinking(Enum):
    """The type of THINKING."""

    THINKING = auto()


THINKING: Final = Thinking.THINKING
"""Whether there is work is not known yet: ask again."""


# --- files


class Source(Protocol):
    """The content of a file that we send. It must not change while it is sent."""

    size_bytes: int

    def read(self, position: int, size_bytes: int) -> bytes:
        """At most so many bytes from `position` on; less only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that the peer may fetch."""

    source: Source
    mode: int = 0o666


class Verdict(Enum):
    """What became of a whole file that arrived."""

    STORED = auto()
    """Durable: the peer may forget it."""
    NOT_STORED = auto()
    """It can never be stored where it belongs; the peer will not try again."""


class Sink(Protocol):
    """Where a file goes that the peer sends."""

    position: int
    """How much of it is there already, from a transfer that broke."""

    def write(self, position: int, content: bytes) -> None:
        """Keep a piece. Pieces leave no holes, but may cover what is there."""
        ...

    def commit(self, size_bytes: int) -> None:
        """The file is complete with so many bytes: make it durable. `verdict` tells when."""
        ...

    @property
    def verdict(self) -> Verdict | None:
        """What became of it; None as long as that is not known."""
        ...

    def abandon(self, keeps_part: bool) -> None:
        """The transfer is over without a whole file. `keeps_part`: it may go on another time."""
        ...

    def confirmed(self) -> None:
        """The peer knows that it is stored: the mark against a second delivery may go.

        It must stay until then, for the peer will offer the file again if it never got our word.
        """
        ...


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file that came in an earlier call. `confirmed`: now the peer knows; see Sink."""

    confirmed: Callable[[], None]


# --- jobs of ours


@dataclass(frozen=True, slots=True)
class Job:
    """Something to ask of the peer.

    `source` belongs to Send and Execute, `sink` to Fetch. An execution is sent as E, or, to a peer
    that does not know that, as its data and an execution file. `key` is the giver's own.
    `was_begun`: some of it went in an earlier call. Then the peer is asked first how much it has,
    also where data could run ahead of the answer. `has_another_form`: if it is refused, other jobs
    take its place; so the call does not end before it is granted.
    """

    request: Request
    grade: str = "N"
    source: Source | None = None
    sink: Sink | None = None
    key: object = None
    was_begun: bool = False
    has_another_form: bool = False


class Ending(Enum):
    """How a job ended."""

    DONE = auto()
    """The peer has confirmed it, now or in an earlier call."""
    REFUSED = auto()
    """The peer will never take it."""
    LATER = auto()
    """Not this time: the peer says so, or the call ended before it was done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job of ours.

    `reason` is one line for the log. `code` is the peer's. `is_doubtful`: all of it was sent, but
    the confirmation did not come: it must be offered again under the same `temp`, so that the peer
    can tell that it has it.
    """

    ending: Ending
    reason: str = ""
    code: Code | None = None
    sent_bytes: int = 0
    is_doubtful: bool = False


Offered: TypeAlias = "Send | Execute"


class Work(Protocol):
    """One neighbour's work in one session."""

    def next_job(self, worst_grade: str | None) -> Job | Thinking | None:
        """The most urgent job, of `worst_grade` or better. None: there is no more now.

        It belongs to the session until `ended`.
        """
        ...

    def ended(self, job: Job, outcome: Outcome) -> None:
        """What became of a job. It is called once for each job given out."""
        ...

    def offered(self, request: Offered, target: Target) -> Sink | Duplicate | Code:
        """The peer wants to send a file, or data for a command. A Code refuses it.

        The name has been judged: `target` leads to the spool or below the public folder. Whether
        it came before (Duplicate, or Code.RECEIVED_BEFORE) is known by `request.temp`, and should
        be seen in more than that: old systems use such names again.
        """
        ...

    def wanted(self, request: Fetch, path: PublicPath) -> OpenedFile | Code:
        """The peer wants a file from below the public folder."""
        ...

    def fetched(self, request: Fetch, is_confirmed: bool) -> None:
        """What `wanted` gave is not needed any more."""
        ...

    def copy_wanted(self, request: RemoteCopy) -> bool:
        """The peer wants files sent elsewhere: have they been queued?"""
        ...
