"""Writes down what runs over links cost and carried, while they go on and when they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.errors import StoreError
from relaynode.queue.finish import finish
from relaynode.queue.link_runs import LinkRunRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from relaynode.links.summary import Summary
    from relaynode.queue.link_runs import LinkRuns

log = logging.getLogger("relaynode")

NOTE_SECONDS = 10.0
"""How often it is written down how far a run has come: what a killed one used since is unknown."""

MAX_PROBLEMS, MAX_PROBLEM_LENGTH = 20, 300


@dataclass(frozen=True, slots=True)
class Recorder:
    """`clock`: epoch seconds. `monotonic`: seconds for measuring."""

    runs: LinkRuns
    clock: Callable[[], float]
    monotonic: Callable[[], float]

    @contextlib.asynccontextmanager
    async def recorded(self, summary: Summary, *, is_ordered: bool) -> AsyncIterator[None]:
        """While a run goes on. What raises out of it is what the run raises."""
        first = LinkRunRecord(summary.link, self.clock(), is_ordered)
        started = self.monotonic()
        number: int | None = None

        async def write(ended: str = "") -> None:
            nonlocal number
            run = record(summary, first, self.monotonic() - started, ended)
            try:
                if number is None:
                    number = await self.runs.begin(run)
                else:
                    await self.runs.note(number, run)
            except StoreError as error:  # the mail matters more
                log.warning("the run over link %s is not recorded: %s", summary.link, error)

        async def follow() -> None:
            while True:
                await asyncio.sleep(NOTE_SECONDS)
                await finish(write())

        following = asyncio.ensure_future(follow())
        ended = "done"
        try:
            yield
        except asyncio.CancelledError:
            ended = "called off"
            raise
        except Exception as error:
            ended = str(error)[:MAX_PROBLEM_LENGTH]
            raise
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await finish(write(ended))


def record(
    summary: Summary, first: LinkRunRecord, seconds: float, ended: str = ""
) -> LinkRunRecord:
    """A run as it is now; `first`: as it began."""
    return replace(
        first,
        seconds=seconds,
        bytes_out=summary.bytes_out,
        bytes_in=summary.bytes_in,
        overhead_bytes=summary.count.overhead_bytes,
        sent=summary.flush.delivered,
        deferred=summary.flush.deferred,
        failed=summary.flush.failed,
        received=sum(poll.fetched for poll in summary.polls),
        deleted=sum(poll.deleted for poll in summary.polls),
        ended=ended,
        bytes_per_second=summary.count.line.bytes_per_second,
        round_trip_seconds=summary.count.line.round_trip_seconds,
        problems=tuple(one[:MAX_PROBLEM_LENGTH] for one in summary.all_problems[:MAX_PROBLEMS]),
    )
