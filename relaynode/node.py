"""One node: the parts of the program, wired as a configuration says.

The daemon holds one for as long as it runs; a command that works without it holds one for as long
as it takes. Both see the same queue.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.links.calling import Calling
from relaynode.links.hours import is_open
from relaynode.links.linkrun import LinkRun
from relaynode.links.queuerun import RunParts
from relaynode.links.ways import SMTP_PORT, Ways
from relaynode.mailers import as_others
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.users import User, Users
from relaynode.neighbours import load_neighbours
from relaynode.queue.retry import DAY, HOUR, RetryPolicy
from relaynode.queue.sqlite import SqliteStore
from relaynode.rules import Rules
from relaynode.sources.dsn import DsnSource
from relaynode.sources.intake import Intake
from relaynode.sources.quota import Limits, Quota
from relaynode.sources.uucp_letters import UucpLetters
from relaynode.sources.uucp_mail import RMAIL, UucpMail
from relaynode.uucico.calls import Calls, Desk
from relaynode.uucico.executor import Executor, ExecutorSettings
from relaynode.uucico.journal import Journal
from relaynode.uucico.opening import line_opener

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.loader import Config
    from relaynode.neighbours import Neighbours, Terms
    from relaynode.queue.model import QueuedMessage
    from relaynode.queue.store import Store
    from relaynode.sources.filters import Filters


KEEP_RUNS_DAYS = 100
"""How long it is known what runs over links cost: three months, for the bills."""


def utc_offset_minutes(now: float) -> int:
    """The local time zone's distance from UTC at `now`."""
    return (time.localtime(now).tm_gmtoff or 0) // 60


@dataclass(frozen=True, slots=True)
class Node:
    """The parts. `clock`: epoch seconds."""

    config: Config
    store: Store
    users: Users
    rules: Rules
    intake: Intake
    parts: RunParts
    links: LinkRun
    neighbours: Neighbours
    calls: Calls
    executor: Executor
    uucp_mail: UucpMail
    clock: Callable[[], float]

    async def close(self) -> None:
        """End in order."""
        await self.store.close()

    async def prune(self) -> None:
        """Forget messages that ended long enough ago, and mail that will not come again."""
        queue = self.config.file.queue
        keep_seconds = queue.keep_finished_days * DAY
        await self.store.forget_taken(self.clock() - queue.remember_days * DAY)
        await self.store.prune(self.clock() - keep_seconds)
        await self.store.uucp.prune(self.clock() - keep_seconds)
        await self.store.link_runs.forget(self.clock() - KEEP_RUNS_DAYS * DAY)


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
    letters = UucpLetters(intake, store, postmaster=config.file.node.postmaster)
    journal = Journal(neighbours.log, neighbours.stats, clock=clock)
    desk = Desk(
        neighbours=lambda: neighbours,
        store=store,
        post=letters,
        open_line=line_opener(lambda: neighbours, config.source_addresses),
        mail_for=lambda neighbour: calling.mail_for(neighbour),
        journal=journal,
        clock=clock,
        monotonic=monotonic,
    )
    uucp_mail = UucpMail(
        intake,
        store,
        hostname=config.hostname,
        our_names=_our_names(neighbours),
        letter=letters.parcel,
        max_message_bytes=queue.message_size_bytes,
        filters=_uucp_filters(config),
    )
    executor = Executor(
        store,
        lambda name: _terms_of(neighbours, name),
        letters,
        ExecutorSettings(neighbours.spool / "work", config.hostname, _runner(users, config)),
        clock=clock,
        builtins=uucp_mail.builtins(),
        short=(RMAIL,),
        journal=journal,
    )
    calls = Calls(desk)
    calling = Calling(config, parts, neighbours, calls, executor)
    links = LinkRun(config, parts, intake, calling, monotonic=monotonic)
    return Node(
        config,
        store,
        users,
        rules,
        intake,
        parts,
        links,
        neighbours,
        calls,
        executor,
        uucp_mail,
        clock,
    )


def _uucp_filters(config: Config) -> Filters | None:
    """Who is asked about neighbours' mail; where nobody is, nothing of it is imported."""
    if not any("uucp" in one.sources for one in config.file.milter.values()):
        return None
    from relaynode.sources.filters import source_filters_of

    return source_filters_of(config, "uucp")


def _our_names(neighbours: Neighbours) -> frozenset[str]:
    """What UUCP systems call us."""
    names = {neighbours.our_name}
    for one in neighbours:
        names.update(way.terms.our_name for way in one.ways)
        names.update(answer.terms.our_name for answer in one.answers)
    return frozenset(map(str.lower, names))


def _runner(users: Users, config: Config) -> User | None:
    """As whom neighbours' commands run; None: nobody could, so they wait. A node with a user of its
    own runs them as that, like uuxqt: the monitor knows nothing of neighbours."""
    try:
        return deliverer(users, "", config.file.local.default_user or "")
    except RefusedError:
        return None


def _terms_of(neighbours: Neighbours, name: str) -> Terms | None:
    """What a neighbour may have executed: what holds when it calls, or else when we do."""
    found = neighbours.find(name)
    if found is None:
        return None
    terms = [*(one.terms for one in found.answers), *(one.terms for one in found.ways)]
    return terms[0] if terms else None
