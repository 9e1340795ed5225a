"""The ODMR source (RFC 2645): one visit to a server that keeps the mail of our domains.

We call it, log in and say ATRN; then the roles turn, and on the same connection it is the client
and brings the mail as any SMTP client does. So nobody has to be able to reach this node. What comes
passes the SMTP source, whose 250 comes after the commit; it is for our domains or it is refused.
Not here: how a session is served (`smtp_listener.py`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mailers.smtp_dialogue import Dialogue
from relaynode.mailers.smtp_opening import open_session
from relaynode.policy.client import Client
from relaynode.queue.servers import KnownServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.sources.smtp_gate import Gatekeeper
    from relaynode.wire.stream import Stream

NO_MAIL = 453
"""RFC 2645 5.2.1: "You have no mail"."""

_MEANING = {
    450: "does not turn for these domains",
    451: "cannot turn now",
    500: "knows no ATRN: this is no ODMR service",
    502: "knows no ATRN: this is no ODMR service",
    530: "wants another login before ATRN",
}


@dataclass(frozen=True, slots=True)
class OdmrAccount:
    """Where mail waits. `domains`: which to ask for; all that the login has, if none is named."""

    hop: NextHop
    domains: tuple[str, ...] = ()


class OdmrPoller:
    """Visits one account. `hostname`: ours. `take`: serves the server once it is the client.
    `gate`: asked what would be taken then. `clock`: monotonic seconds."""

    def __init__(
        self,
        account: OdmrAccount,
        take: Callable[[Stream, Client], Awaitable[None]],
        gate: Gatekeeper,
        *,
        hostname: str,
        clock: Callable[[], float],
    ) -> None:
        self._account = account
        self._take = take
        self._gate = gate
        self._hostname = hostname
        self._clock = clock

    async def poll(self) -> None:
        """Fetch all there is.

        Raises: WireError, RefusedError, ProtocolError. Whatever happens, what we have said yes to
        is queued, and the rest is still at the server.
        """
        await self._insist_on_ours()
        hop = self._account.hop
        stream = await hop.open()
        try:
            dialogue = await open_session(
                stream, hop, KnownServer(), hostname=self._hostname, clock=self._clock
            )
            if await self._ask_to_turn(dialogue):
                dialogue.client.turn()
                await self._take(stream, called(stream.peer))
                await stream.close()
            else:
                await dialogue.say_goodbye()
        finally:
            stream.abort()

    async def _insist_on_ours(self) -> None:
        """Ask for no mail that we would refuse: the server would return it to its senders."""
        for domain in self._account.domains:
            verdict = await self._gate.check_rcpt(called(""), "", f"postmaster@{domain}")
            if verdict.status is not None:
                what = f"not asked: {domain} is neither ours nor one that we relay for"
                raise RefusedError(verdict.status, what)

    async def _ask_to_turn(self, dialogue: Dialogue) -> bool:
        """Is there mail, and will the server bring it now? Raises: RefusedError."""
        domains = ",".join(self._account.domains)
        reply = await dialogue.ask(f"ATRN {domains}".rstrip())
        if reply.code // 100 == 2:
            return True
        if reply.code == NO_MAIL:
            return False
        meaning = _MEANING.get(reply.code, "ATRN refused")
        raise RefusedError(reply.status, f"{dialogue.peer} {meaning}")


def called(peer: str) -> Client:
    """A server that we have called, as the policy sees it. `peer`: as a stream has it."""
    address = peer.partition("[")[2].removesuffix("]")
    try:
        ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        address = "127.0.0.1"  # it has none: a pipe, a socket of this machine
    return Client(address=address, is_called=True)
