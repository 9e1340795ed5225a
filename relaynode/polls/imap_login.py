"""How an IMAP session begins: greeting, TLS, login; what is to follow shares the login's flight.

Where the line is private and the server has not said what it can do, LOGIN is sent along with the
question. RFC 3501 sections 6.1.1, 6.2.1 to 6.2.3; RFC 4959 (SASL-IR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode import sasl
from relaynode.errors import LoginRefused, RefusedError, TlsFailed
from relaynode.imap import events as imap
from relaynode.imap import writing
from relaynode.imap.states import State
from relaynode.mail.status import temporary

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.account import Account
    from relaynode.polls.imap_session import Session


@dataclass(frozen=True, slots=True)
class LoginSteps:
    """`and_then`: queues what shall be sent together with the login; it may be called again."""

    account: Account
    session: Session
    and_then: Callable[[], None]

    async def run(self) -> None:
        """Be logged in. Raises: WireError, RefusedError, LoginRefused, ProtocolError."""
        if self.account.tls == "tls":
            await self._start_tls()
        if await self._greeted():
            self.and_then()
            return
        if self.account.tls == "starttls":
            await self._upgrade()
        await self._log_in()

    # --- greeting and TLS

    async def _greeted(self) -> bool:
        """Raises: RefusedError. True if the server knows us already."""
        event = await self.session.event()
        while not isinstance(event, imap.Greeting):
            if isinstance(event, imap.Refused):
                raise RefusedError(event.status, f"{self.session.stream.peer}: refuses us")
            event = await self.session.event()
        if event.is_logged_in and self.account.tls == "starttls":
            raise TlsFailed(f"{self.session.stream.peer}: logs us in before there is TLS")
        return event.is_logged_in

    async def _upgrade(self) -> None:
        client, peer = self.session.client, self.session.stream.peer
        none = f'{peer}: offers no STARTTLS; tls = "none" goes without'
        if client.capabilities is not None and not client.can("STARTTLS"):
            raise TlsFailed(none)
        client.starttls()
        event = await self.session.event()
        while not isinstance(event, imap.TlsReady):
            if isinstance(event, imap.Refused):
                raise TlsFailed(none)
            event = await self.session.event()
        await self._start_tls()
        client.after_tls()

    async def _start_tls(self) -> None:
        assert self.account.tls_context is not None
        context = self.account.tls_context()
        stream = self.session.stream
        await stream.start_tls(context, self.account.server, self.account.timeout_seconds)

    # --- login

    async def _log_in(self) -> None:
        host, _, address = self.session.stream.peer.partition("[")
        credentials = await self.account.login.credentials(
            host.strip() or self.account.server, address.removesuffix("]")
        )
        assert credentials is not None  # an account has a user
        try:
            await self._log_in_with(credentials)
        except LoginRefused as error:
            newer = await self.account.login.renewed(credentials)
            if newer is None or newer.token == credentials.token:
                raise
            if self.session.client.state is not State.PLAIN:
                raise error from None
            await self._log_in_with(newer)

    async def _log_in_with(self, credentials: sasl.Credentials) -> None:
        client = self.session.client
        if client.capabilities is None:
            tag = client.capability()
            if self._may_show(credentials) and self.account.tls != "none":
                await self._by_login(credentials)
                return
            await self.session.answer(tag)
        mechanism = sasl.choose(
            client.sasl_mechanisms,
            credentials,
            is_private=self.account.tls != "none",
            host=self.account.server,
            service="imap",
        )
        if self._takes_login(credentials, mechanism):
            await self._by_login(credentials)
        elif mechanism is None:
            raise self._no_way(credentials)
        else:
            await self._by_mechanism(mechanism)

    def _may_show(self, credentials: sasl.Credentials) -> bool:
        allowed = credentials.mechanisms
        if credentials.password is None:
            return False
        return not allowed or any(sasl.shows_secret(name) for name in allowed)

    def _takes_login(self, credentials: sasl.Credentials, mechanism: sasl.Mechanism | None) -> bool:
        """LOGIN shares a flight with what follows, and shows as much as PLAIN does."""
        client = self.session.client
        if client.can("LOGINDISABLED") or not self._may_show(credentials):
            return False
        if mechanism is None:
            return True
        words = (credentials.user, credentials.password or "")
        if not all(writing.is_quotable(word) for word in words):
            return False
        return self.account.tls != "none" or sasl.shows_secret(mechanism.name)

    async def _by_login(self, credentials: sasl.Credentials) -> None:
        tag = self.session.client.login(credentials.user, credentials.password or "")
        self.and_then()
        await self._insist(tag, "LOGIN")

    async def _by_mechanism(self, mechanism: sasl.Mechanism) -> None:
        tag = self.session.client.login_sasl(mechanism)
        self.and_then()
        try:
            await self._insist(tag, "AUTHENTICATE")
        except LoginRefused as error:
            if not mechanism.told:
                raise
            peer = self.session.stream.peer
            what = f"{peer}: {mechanism.name} says {mechanism.told}: AUTHENTICATE refused"
            raise LoginRefused(error.status, what) from None

    async def _insist(self, tag: str, command: str) -> None:
        """Raises: LoginRefused; RefusedError if it may pass though the password is right."""
        before = self.session.client.capabilities
        answer = await self.session.answer(tag)
        if isinstance(answer, imap.Refused):
            kind = RefusedError if answer.status.is_temporary else LoginRefused
            raise kind(answer.status, f"{self.session.stream.peer}: {command} refused")
        client = self.session.client
        if client.capabilities is before and not client.can("UIDPLUS"):
            client.capability()  # RFC 3501 6.2.3: they may have changed; nobody waits for it

    def _no_way(self, credentials: sasl.Credentials) -> LoginRefused:
        offered = " ".join(sorted(self.session.client.sasl_mechanisms)) or "nothing"
        only = f", auth allows {' '.join(credentials.mechanisms)}" if credentials.mechanisms else ""
        text = f"no way to log in: the server offers {offered}{only}"
        return LoginRefused(temporary(text, "4.7.4", 454), self.session.stream.peer)
