"""What is simulated, besides the trace: the links, accounts and next hops of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from relaynode.policy.budget import Budget
from relaynode.policy.line_model import Security, Server
from relaynode.simulate.line import LineState

if TYPE_CHECKING:
    from relaynode.policy.order import Order
    from relaynode.simulate.events import MailOut
    from relaynode.timetable import Timetable
    from relaynode.timetable.local_time import Zone
    from relaynode.timetable.timetable import Window


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """A link. `line`: what it is until the trace says something else.

    Of one that is dialled: `dial_seconds` until it is up, so many tries, `redial_seconds` before
    the second one and twice as long before each other; `idle_seconds` until it is hung up when
    nothing is left to do; `dial_grade`: mail of this grade or better has it dialled at once.
    """

    name: str
    kind: Literal["always", "event", "dial"] = "event"
    line: LineState = field(default_factory=LineState)
    timetable: Timetable | None = None
    window: Window | None = None
    budget: Budget = field(default_factory=Budget)
    dial_seconds: float = 30.0  # modems that agree, and PPP
    redial_attempts: int = 0
    redial_seconds: float = 30.0
    dials_per_day: int = 0
    idle_seconds: float = 0.0
    dial_grade: str = ""


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """An account over a link. `goes_on`: a message that was cut goes on where it ended (IMAP)."""

    name: str
    link: str
    security: Security = "none"
    login_round_trips: int = 1
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop. `link`: None for what stays on this machine. `is_call`: a UUCP neighbour."""

    name: str
    link: str | None
    server: Server = field(default_factory=Server)
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. `hop`: where a mail goes while these links are up. `next_attempt_at`: when what
    was tried so often is tried again."""

    links: Mapping[str, LinkPlan]
    accounts: Mapping[str, AccountPlan]
    hop: Callable[[MailOut, frozenset[str]], Hop]
    order: Order
    next_attempt_at: Callable[[int, float], float]
    zone: Zone
