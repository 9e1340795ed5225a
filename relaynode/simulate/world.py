"""What the links of a simulation know of all else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from relaynode.simulate.clock import Clock
    from relaynode.simulate.mail import Incoming, Outgoing
    from relaynode.simulate.outcome import Outcome
    from relaynode.simulate.plan import Hop, Plan


class World(Protocol):
    """What a link knows of all else."""

    plan: Plan
    clock: Clock
    outcome: Outcome
    boxes: dict[str, list[Incoming]]

    def waiting(self, link: str) -> list[tuple[Hop, Outgoing]]:
        """What waits for this link and is not under way, those first that go first."""
        ...

    def next_due(self, link: str) -> float | None:
        """When something that waits for it is to be tried, without a link-up."""
        ...

    def delivered(self, mail: Outgoing, link: str) -> None:
        """It has arrived."""
        ...
