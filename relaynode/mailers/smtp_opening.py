"""How an SMTP session is opened: greeting, EHLO, TLS, AUTH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode import sasl
from relaynode.errors import LoginRefused, TlsFailed
from relaynode.mail.status import temporary
from relaynode.smtp.client_events import Greeted, Ready, TlsAccepted

if TYPE_CHECKING:
    from relaynode.mailers.smtp_dialogue import Dialogue
    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.queue.servers import KnownServer


@dataclass(slots=True)
class Opening:
    """The first part of one session. `known`: what is known of the server."""

    dialogue: Dialogue
    next_hop: NextHop
    known: KnownServer
    is_private: bool = False

    async def open(self) -> None:
        """Until mail may be sent. Raises: WireError, RefusedError, ProtocolError."""
        if self.next_hop.tls == "tls":
            await self._start_tls()
        await self.dialogue.until(Greeted)
        is_all = self.next_hop.tls != "starttls" and self.next_hop.user is None
        if is_all and self.known.extensions:
            self.dialogue.hello(self.known.extensions)  # the answer is waited for with the mail's
            return
        await self._hello()
        if self.next_hop.tls == "starttls":
            await self._ask_for_tls()
        if self.next_hop.user is not None:
            await self._log_in(self.next_hop.user)

    async def _hello(self) -> None:
        self.dialogue.hello()
        await self.dialogue.until(Ready)
        self.dialogue.hello_answered()

    async def _ask_for_tls(self) -> None:
        client = self.dialogue.client
        if "STARTTLS" not in client.extensions:
            raise TlsFailed(f'{self.dialogue.peer}: offers no STARTTLS; tls = "none" goes without')
        client.starttls()
        await self.dialogue.until(TlsAccepted)
        await self._start_tls()
        client.after_tls()
        await self._hello()

    async def _start_tls(self) -> None:
        assert self.next_hop.tls_context is not None
        context = self.next_hop.tls_context()
        seconds = self.next_hop.timeout_seconds
        await self.dialogue.stream.start_tls(context, self.next_hop.name, seconds)
        self.is_private = True

    async def _log_in(self, user: str) -> None:
        assert self.next_hop.password is not None
        client, password = self.dialogue.client, self.next_hop.password.reveal()
        mechanism = sasl.choose(client.mechanisms, user, password, is_private=self.is_private)
        if mechanism is None:
            offered = " ".join(client.mechanisms) or "nothing"
            status = temporary(f"no way to log in: the server offers {offered}", "4.7.4", 454)
            raise LoginRefused(status, self.dialogue.peer)
        client.authenticate(mechanism)
        await self.dialogue.until(Ready)
