"""ETRN, the server's side (RFC 1985): sends the mail that waits for a domain, when a site asks.

The mail goes where the tables say, over links that are up; it does not come back on the asking
connection. Who may ask is decided before (`policy/relay.py`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import BusyError, RelaynodeError
from relaynode.links.wish import Wish
from relaynode.mail.address import normalise_domain, split
from relaynode.smtp import etrn

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.links.linkrun import LinkRun
    from relaynode.mail.status import Status
    from relaynode.queue.model import QueuedMessage
    from relaynode.queue.store import Store
    from relaynode.smtp.events import SendNow

MAX_WAITING = 100
"""Domains that wait for their turn; who asks for more is told to come again."""

log = logging.getLogger("relaynode")


@dataclass(slots=True)
class EtrnServer:
    """Sends for one domain after the other."""

    config: Config
    store: Store
    links: LinkRun
    _wanted: dict[str, None] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    async def send_now(self, asked: SendNow) -> Status:
        """Begin to send what waits for the domain. Raises: StoreError."""
        waiting = await self.store.waiting()
        found = [one for one in waiting if _is_for(one, asked)]
        if not found:
            return etrn.started(asked.domain, 0)
        text = asked.domain if asked.with_subdomains else f"@{asked.domain}"
        if len(self._wanted) >= MAX_WAITING and text not in self._wanted:
            return etrn.unable(asked.domain)
        if not await self._links_up():
            return etrn.unable(asked.domain)
        self._wanted[text] = None
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._send_all())
        return etrn.started(asked.domain, len(found))

    async def close(self) -> None:
        """End: what was not sent yet waits for its time."""
        self._wanted.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _send_all(self) -> None:
        while self._wanted:
            text = next(iter(self._wanted))
            del self._wanted[text]
            wish = Wish(poll=False, only=(("R", text),))
            try:
                links = await self._links_up()
            except RelaynodeError as error:
                log.error("ETRN: %s", error)
                continue
            for link in links:
                await self._send(link, wish)

    async def _links_up(self) -> list[str]:
        """The links that mail may leave over now. Raises: StoreError."""
        hooked = await self.store.links_up()
        links = self.config.links
        return [
            one for one in self.config.mail_links if links[one].kind == "always" or one in hooked
        ]

    async def _send(self, link: str, wish: Wish) -> None:
        try:
            await self.links.run(link, wish)
        except BusyError as error:
            log.info("ETRN: %s; it takes the mail along", error)
        except RelaynodeError as error:
            log.error("ETRN: %s", error)


def _is_for(message: QueuedMessage, asked: SendNow) -> bool:
    for recipient in message.recipients:
        domain = normalise_domain(split(recipient.forward_path.address)[1])
        if domain == asked.domain:
            return True
        if asked.with_subdomains and domain.endswith(f".{asked.domain}"):
            return True
    return False
