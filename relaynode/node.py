"""One node: the parts of the program, wired as a configuration says.

The daemon holds one for as long as it runs; a command that works without it holds one for as long
as it takes. Both see the same queue.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from relaynode.links.hours import is_open
from relaynode.links.linkrun import LinkRun
from relaynode.links.run_parts import RunParts
from relaynode.links.ways import SMTP_PORT, Ways
from relaynode.mailers import as_others
from relaynode.mailers.users import Users
from relaynode.neighbours import load_neighbours
from relaynode.queue.retry import DAY, HOUR, RetryPolicy
from relaynode.queue.sqlite import SqliteStore
from relaynode.rules import Rules
from relaynode.sources.dsn import DsnSource
from relaynode.sources.intake import Intake
from relaynode.sources.quota import Limits, Quota

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.loader import Config
    from relaynode.links.uucp_side import UucpSide
    from relaynode.neighbours import Neighbours
    from relaynode.queue.model import QueuedMessage
    from relaynode.queue.store import Store
    from relaynode.sources.uucp_mail import UucpMail
    from relaynode.uucico.calls import Calls
    from relaynode.uucico.executor import Executor


TABLE_SECONDS = 0.01
"""A table that was changed is in force so much later at most."""

KEEP_RUNS_DAYS = 100
"""How long it is known what runs over links cost: three months, for the bills."""


def utc_offset_minutes(now: float) -> int:
    """The local time zone's distance from UTC at `now`."""
    return _utc_offset_minutes(int(now))


@lru_cache(maxsize=4)  # the zone's file is looked at each time; many messages come in one second
def _utc_offset_minutes(seconds: int) -> int:
    return (time.localtime(seconds).tm_gmtoff or 0) // 60


@dataclass(frozen=True)
class Node:
    """The parts. `clock`: epoch seconds. `monotonic`: seconds for measuring."""

    config: Config
    store: Store
    users: Users
    rules: Rules
    intake: Intake
    parts: RunParts
    neighbours: Neighbours
    clock: Callable[[], float]
    monotonic: Callable[[], float]

    @cached_property
    def links(self) -> LinkRun:
        """The runs over links."""
        return LinkRun(
            self.config,
            self.parts,
            self.intake,
            self.neighbours,
            lambda: self._uucp.calling,
            monotonic=self.monotonic,
        )

    @cached_property
    def _uucp(self) -> UucpSide:
        from relaynode.links.uucp_side import wire  # most nodes have no neighbours

        return wire(
            self.config,
            self.parts,
            self.intake,
            self.neighbours,
            self.users,
            monotonic=self.monotonic,
        )

    @property
    def calls(self) -> Calls:
        """UUCP sessions."""
        return self._uucp.calls

    @property
    def executor(self) -> Executor:
        """What neighbours ask to have executed."""
        return self._uucp.executor

    @property
    def uucp_mail(self) -> UucpMail:
        """Mail that neighbours bring."""
        return self._uucp.mail

    def look_seldom(self) -> None:
        """For a process that stays: tables are not looked at for each question."""
        self.rules.tables.look_every(TABLE_SECONDS, self.monotonic)

    def wake_calls(self) -> None:
        """There may be new work for neighbours who are being talked to."""
        if "_uucp" in vars(self):
            self._uucp.calls.wake()

    async def close(self) -> None:
        """End in order."""
        await self.links.close()
        await self.store.close()

    async def prune(self) -> None:
        """Forget messages that ended long enough ago, and mail that will not come again."""
        queue = self.config.file.queue
        keep_seconds = queue.keep_finished_days * DAY
        await self.store.forget_taken(self.clock() - queue.remember_days * DAY)
        await self.store.prune(self.clock() - keep_seconds)
        await self.store.uucp.prune(self.clock() - keep_seconds)
        await self.store.link_runs.forget(self.clock() - KEEP_RUNS_DAYS * DAY)
        await self.store.dials.forget(self.clock() - KEEP_RUNS_DAYS * DAY)


async def is_up(node: Node, link: str) -> bool:
    """May mail use the link now: is its window open, and is it `always` up or did a hook say so?"""
    section = node.config.links[link]
    if not is_open(section, node.clock()):
        return False
    if section.kind == "always":
        return True
    return link in await node.store.links_up()


async def deliver_here(node: Node, queue_id: str) -> QueuedMessage | None:
    """Try now what of a message stays on this machine; the message as it is then.

    Raises: StoreError.
    """
    await node.links.run_due(None, {queue_id})
    return await node.store.message(queue_id)


def make_node(
    config: Config,
    store: Store | None = None,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    smtp_port: int = SMTP_PORT,
) -> Node:
    """Wire a node on `store`, or on the one in the spool. `smtp_port`: see Ways.

    Raises: StoreError.
    """
    if config.file.node.user is not None:
        as_others.expect()
    queue = config.file.queue
    store = store or SqliteStore(config.spool, clock=clock, min_free_bytes=queue.min_free_bytes)
    users = Users(config.mailbox, frozenset(config.file.local.users))
    rules = Rules(config, users)
    intake = Intake(
        store,
        rules,
        hostname=config.hostname,
        max_hops=queue.max_hops,
        clock=clock,
        utc_offset_minutes=utc_offset_minutes,
        quota=Quota(
            store,
            Limits.of(config.file.quota),
            clock,
            lambda envelope: ways.links_of(envelope, rules.routing),
        ),
        stays_here=lambda envelope: ways.stays_here(envelope, rules.routing),
    )
    dsns = DsnSource(
        rules,
        hostname=config.hostname,
        postmaster=config.file.node.postmaster,
        utc_offset_minutes=utc_offset_minutes,
        language=config.file.node.language,
    )
    retry = RetryPolicy(
        queue.give_up_after_days * DAY,
        queue.give_up_min_attempts,
        queue.warn_after_hours * HOUR,
    )
    neighbours = load_neighbours(config)
    ways = Ways(config, rules, users, neighbours, monotonic, store.servers, smtp_port=smtp_port)
    parts = RunParts(store, rules, ways, retry, dsns, clock)
    return Node(config, store, users, rules, intake, parts, neighbours, clock, monotonic)
