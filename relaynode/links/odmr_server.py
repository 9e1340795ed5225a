"""ODMR, the server's side (RFC 2645): a site that calls is brought the mail of its domains.

What waits for them leaves over the connection that the site has opened, whichever way the tables
name for it, in a queue run like any other: claimed, tried, recorded. No link of ours is used. The
dialogue before the turn is `smtp/server.py`'s.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from relaynode.errors import RelaynodeError
from relaynode.links.queuerun import QueueRun
from relaynode.links.ways import Way
from relaynode.mail.address import normalise_domain, split
from relaynode.mailers.smtp_turned import TurnedMailer
from relaynode.smtp import atrn
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from relaynode.config.loader import Config
    from relaynode.links.run_parts import RunParts
    from relaynode.links.ways import Ways
    from relaynode.mail.status import Status
    from relaynode.mailers.mailer import Attempt, Consignment, Mailer
    from relaynode.policy.route import Route
    from relaynode.queue.model import QueuedRecipient
    from relaynode.sources.smtp_guard import Turn
    from relaynode.wire.stream import Stream

log = logging.getLogger("relaynode")

_TURNED = Way("smtp", "", "esmtp")
"""The way of all that goes over a connection that was turned. It has no name: nobody can be called
there, so there is no host whose status would be worth keeping."""


@dataclass(frozen=True)
class OdmrServer:
    """For all sites. `clock`: monotonic seconds. `timeout_seconds`: for their silence.
    `on_failed`: called when a message failed or a DSN was queued."""

    config: Config
    parts: RunParts
    clock: Callable[[], float]
    timeout_seconds: float
    on_failed: Callable[[], None] = lambda: None

    @cached_property
    def _domains(self) -> dict[str, frozenset[str]]:
        """Those of each login, both in lower case."""
        found: dict[str, set[str]] = defaultdict(set)
        for section in self.config.file.odmr.values():
            found[section.user.lower()].update(map(str.lower, section.domains))
        return {user: frozenset(domains) for user, domains in found.items()}

    async def turn(self, user: str, domains: tuple[str, ...]) -> Turn | Status:
        """What a login is brought that asks for the mail of these domains, or of all that are kept
        for it; or why it is brought nothing. Raises: StoreError."""
        its = self._domains.get(user.lower(), frozenset())
        wanted = frozenset(domains) or its
        if not wanted or not wanted <= its:
            # RFC 2645 5.2.1: one domain that is not the login's, and none is served.
            return atrn.REFUSED
        ways = _TurnedWays(self.parts.ways)
        run = QueueRun(
            self.parts,
            ByteCount(),
            ways=ways,
            takes_way=ways.is_open_to,
            takes=lambda message, recipient: _is_for(recipient, wanted),
        )
        if not await run.has_work():
            for problem in run.result.problems:  # tables that cannot be read, so that mail waits
                log.warning("ODMR: %s: %s", user, problem)
            return atrn.UNABLE if run.result.problems else atrn.NO_MAIL

        async def bring(stream: Stream) -> None:
            ways.mailer_there = self._mailer(stream)
            await self._bring(user, stream, run, ways.mailer_there)

        return bring

    def _mailer(self, stream: Stream) -> TurnedMailer:
        return TurnedMailer(
            stream,
            hostname=self.config.hostname,
            masquerade=self.parts.rules.masquerade,
            timeout_seconds=self.timeout_seconds,
            clock=self.clock,
        )

    async def _bring(self, user: str, stream: Stream, run: QueueRun, mailer: TurnedMailer) -> None:
        try:
            await run.run()
            if not mailer.is_over:  # somebody else has sent it meanwhile: say hello and goodbye
                await mailer.deliver(_nothing(), _to_nobody)
        except RelaynodeError as error:
            log.error("ODMR: %s: %s", user, error)
        result = run.result
        log.info("ODMR: %s: %s took %d", user, stream.peer, result.delivered)
        for problem in result.problems:
            log.warning("ODMR: %s: %s", user, problem)
        if result.failed or result.notices:
            self.on_failed()


@dataclass(slots=True)
class _TurnedWays:
    """`queuerun.RunWays`: all that leaves this machine by SMTP goes over the one connection."""

    ways: Ways
    mailer_there: TurnedMailer | None = None
    """None: before the turn."""

    def is_open_to(self, way: Way) -> bool:
        """Can mail go that way still?"""
        return way is _TURNED and (self.mailer_there is None or not self.mailer_there.is_over)

    def way_of(self, route: Route, reverse_path: str = "") -> Way:
        """See Ways."""
        way = self.ways.way_of(route, reverse_path)
        return _TURNED if way.kind == "smtp" else way

    def host_of(self, way: Way) -> str:
        """See Ways."""
        return ""

    def is_always_up(self, way: Way) -> bool:
        """See Ways."""
        return False

    def mailer(self, way: Way, count: ByteCount) -> Mailer:
        """See Ways."""
        assert self.mailer_there is not None, "the roles have not turned"
        return self.mailer_there


def _is_for(recipient: QueuedRecipient, domains: frozenset[str]) -> bool:
    return normalise_domain(split(recipient.forward_path.address)[1]) in domains


async def _nothing() -> AsyncIterator[Consignment]:
    return
    yield


async def _to_nobody(attempts: Sequence[Attempt]) -> None:
    assert not attempts
