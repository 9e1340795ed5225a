"""What a simulation comes to, before it is added up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relaynode.simulate.mail import Incoming, Outgoing


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run over a link. `ended`: "done", or why it ended early. Bytes: what the line carried."""

    link: str
    began_at: float
    seconds: float
    bytes_out: float
    bytes_in: float
    sent: int
    received: int
    is_ordered: bool
    ended: str
    cost: float


@dataclass(slots=True)
class Outcome:
    """`refused`: by link, how often a run was not begun since its budget was spent. `dials`: calls
    that came to nothing are among them. `at_home`: mails that never had to leave."""

    outgoing: list[Outgoing] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    runs: list[RunRecord] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    dials: dict[str, int] = field(default_factory=dict)
    failed_dials: dict[str, int] = field(default_factory=dict)
    at_home: int = 0
