"""How an SMTP session is opened: greeting, EHLO, TLS, login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError, RemoteProtocolError, TableError, TlsFailed, WireError
from relaynode.mail.reason import Reason
from relaynode.mailers.smtp_dialogue import Dialogue
from relaynode.mailers.smtp_login import SmtpLogin
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Greeted, Ready, State, TlsAccepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.mailers.smtp_hop import NextHop
    from relaynode.queue.servers import KnownServer
    from relaynode.wire.stream import Stream


async def open_session(
    stream: Stream,
    next_hop: NextHop,
    known: KnownServer,
    *,
    hostname: str,
    clock: Callable[[], float],
) -> Dialogue:
    """Open a session on a connection. `known`: what is known of the server. `clock`: monotonic
    seconds. Raises: WireError, RefusedError, ProtocolError, TableError."""
    client = Client(hostname, without=known.broken, is_lmtp=next_hop.is_lmtp)
    dialogue = Dialogue(stream, client, clock, next_hop.timeout_seconds)
    await Opening(dialogue, next_hop, known).open()
    return dialogue


@dataclass(slots=True)
class Opening:
    """The first part of one session. `known`: what is known of the server."""

    dialogue: Dialogue
    next_hop: NextHop
    known: KnownServer
    is_private: bool = False

    async def open(self) -> None:
        """Until mail may be sent. Raises: WireError, RefusedError, ProtocolError."""
        try:
            if self.next_hop.tls == "tls":
                await self._start_tls()
            await self.dialogue.until(Greeted)
        except (WireError, RemoteProtocolError) as error:
            error.is_stranger = True
            raise
        is_all = self.next_hop.tls in ("none", "tls") and not await self._may_log_in()
        if is_all and self.known.extensions and not self.known.insists:
            self.dialogue.hello(self.known.extensions)  # the answer is waited for with the mail's
            return
        await self._hello()
        if self.next_hop.tls == "starttls":
            await self._ask_for_tls()
        elif self.next_hop.tls == "opportunistic":
            await self._try_tls()
        if (login := self._login()) is not None:
            await login.run()

    def _login(self) -> SmtpLogin | None:
        login = self.next_hop.login
        if login is None:
            return None
        host = self.dialogue.peer.partition(" [")[0] or self.next_hop.name
        return SmtpLogin(self.dialogue, login, host, self.is_private)

    async def _may_log_in(self) -> bool:
        """Is there something to log in with, so that EHLO must be answered first?"""
        login = self._login()
        try:
            return login is not None and await login.is_wanted()
        except TableError:
            return True  # it matters only if the server wants a login

    async def _hello(self) -> None:
        self.dialogue.hello()
        await self.dialogue.until(Ready)
        self.dialogue.hello_answered()

    async def _try_tls(self) -> None:
        """RFC 7435: encrypted where that can be had. Raises: TlsFailed, after which the line is of
        no use, and another one without TLS may be."""
        if "STARTTLS" not in self.dialogue.client.extensions:
            return
        try:
            await self._ask_for_tls()
        except RefusedError:
            if self.dialogue.client.state is not State.READY:
                raise  # anything but 454: it offers TLS, and has none for now

    async def _ask_for_tls(self) -> None:
        client = self.dialogue.client
        if "STARTTLS" not in client.extensions:
            text = f'{self.dialogue.peer}: offers no STARTTLS; tls = "none" goes without'
            raise TlsFailed(text, reason=Reason.TLS_NOT_OFFERED)
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
        if self.next_hop.check is not None:
            self.next_hop.check(self.dialogue.stream)
        # With TLS that is there for anybody, nobody has said who the server is.
        self.is_private = self.next_hop.tls != "opportunistic"
