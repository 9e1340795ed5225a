"""What a planned link-up costs, and which mail the link's budget would leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.links.budgets import budget_of, left_of, told
from relaynode.policy.budget import OPENING_BYTES, Pace, fits, on_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.config.schema import LinkSection
    from relaynode.policy.budget import Room
    from relaynode.policy.line_model import Letter, Line
    from relaynode.queue.link_runs import LinkRuns

OPENING_ROUND_TRIPS = 3
"""What a session needs before its first message, about."""


async def room_of(link: str, section: LinkSection, runs: LinkRuns, now: float) -> Room:
    """What a run that begins now may use. Raises: StoreError."""
    budget = budget_of(section)
    return budget.room(await left_of(budget, link, runs, now))


def refusal(room: Room) -> str:
    """Why no run may begin now, "" if one may."""
    bound = room.binding() if room.is_too_small else None
    return "" if bound is None else told(bound)


def price(section: LinkSection, seconds: float, size_bytes: int) -> float | None:
    """What a run costs; None where nothing costs anything."""
    tariff = budget_of(section).tariff
    if not (tariff.per_minute or tariff.per_megabyte or tariff.per_call):
        return None
    return tariff.cost(seconds, size_bytes)


def fitting(
    room: Room, line: Line | None, before_bytes: float, letters: Sequence[Letter]
) -> list[Letter]:
    """Those of a session's messages that it would take, in order: a smaller one may still fit
    where a larger one did not. `before_bytes`: what others have planned."""
    rate = 0.0 if line is None else line.up
    opening = 0.0 if line is None else OPENING_ROUND_TRIPS * line.round_trip_seconds
    planned = before_bytes
    taken: list[Letter] = []
    for letter in letters:
        pace = Pace(opening, 0.0, planned, rate)
        ahead = 0.0 if taken else float(OPENING_BYTES)
        if fits(room, pace, letter.content_bytes, opening_bytes=ahead):
            planned += on_line(letter.content_bytes) + ahead
            taken.append(letter)
    return taken
