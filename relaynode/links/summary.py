"""What a link's run did: for a person's screen, for `--json`, and for the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.links.run_parts import RunResult
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from relaynode.links.calling import Called
    from relaynode.links.etrn import Asked
    from relaynode.polls.poll import Poll


@dataclass(slots=True)
class Summary:
    """One run. `seconds`: since it began."""

    link: str
    flush: RunResult = field(default_factory=RunResult)
    polls: list[Poll] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    count: ByteCount = field(default_factory=ByteCount)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Everything that was tried worked."""
        has_problem = any(call.problem for call in self.calls)
        return not (self.problems or self.flush.problems or self.flush.deferred or has_problem)

    @property
    def bytes_out(self) -> int:
        """What went out over all lines so far."""
        return self.count.bytes_out

    @property
    def bytes_in(self) -> int:
        """What came in."""
        return self.count.bytes_in

    @property
    def is_spoken_to(self) -> bool:
        """Has a neighbour said anything?"""
        return any(call.record.received_bytes for call in self.calls)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "link": self.link,
            "sent": self.flush.delivered,
            "deferred": self.flush.deferred,
            "failed": self.flush.failed,
            "in_doubt": self.flush.in_doubt,
            "received": sum(poll.fetched for poll in self.polls),
            "deleted": sum(poll.deleted for poll in self.polls),
            "bytes_out": self.bytes_out,
            "bytes_in": self.bytes_in,
            "overhead_bytes": self.count.overhead_bytes,
            "seconds": round(self.seconds, 3),
            "polls": [
                {
                    "account": poll.account,
                    "waiting": poll.waiting,
                    "waiting_bytes": poll.waiting_bytes,
                    "fetched": poll.fetched,
                    "fetched_bytes": poll.fetched_bytes,
                    "reason": poll.reason,
                    "known_again": poll.known_again,
                    "offered": poll.offered,
                    "left": poll.left,
                    "in_mailbox": poll.in_mailbox,
                    "mailbox_bytes": poll.mailbox_bytes,
                    "new": poll.new,
                }
                for poll in self.polls
            ],
            "asked": [one.as_json() for one in self.asked],
            "calls": [call.as_json() for call in self.calls],
            "problems": self.all_problems,
        }

    @property
    def all_problems(self) -> list[str]:
        """Of the run and of all that it did."""
        return [
            *self.problems,
            *self.flush.problems,
            *(f"{call.neighbour}: {call.problem}" for call in self.calls if call.problem),
            *(problem for poll in self.polls for problem in poll.problems),
        ]
