"""From the greeting to the login in as few flights as a server allows.

    stranger      greeting | CAPA | USER PASS UIDL LIST     with PIPELINING
                  greeting | CAPA | USER | PASS | UIDL | LIST      without
    known         greeting | CAPA USER PASS UIDL LIST       what it could do at the last visit

A known server is asked again what it can do, in the same flight. If it has changed and refuses what
was presumed of it, the login is done once more in the same session, as with a stranger. Nothing is
sent before the greeting: RFC 1939 section 4 has the server speak first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode import sasl
from relaynode.errors import LoginRefused, RefusedError, TlsFailed, WireError
from relaynode.mail.status import temporary
from relaynode.pop3 import events as pop3
from relaynode.pop3.states import State
from relaynode.queue.servers import KnownServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from relaynode.polls.account import Account
    from relaynode.polls.pop3_dialogue import Dialogue
    from relaynode.pop3.client import Client

_PIPELINING = "PIPELINING"
_APOP = "APOP"


@dataclass(slots=True)
class Opening:
    """Opens one session. `known`: what is remembered of the server, and kept true to it.

    `ask`: queues the commands that go along with the login, if any may.
    """

    account: Account
    dialogue: Dialogue
    known: KnownServer
    ask: Callable[[Client], None]
    is_presuming: bool = False
    _timestamp: str = ""
    _is_apop_refused: bool = False
    _found: list[pop3.Event] = field(default_factory=list)

    async def log_in(self) -> list[pop3.Event]:
        """Log in; what came behind the login, if `ask` was called.

        Raises: WireError, RefusedError, ProtocolError, TlsFailed.
        """
        self.is_presuming = _PIPELINING in self.known.extensions and not self.known.insists
        if self.account.tls == "tls":
            await self._start_tls()
        (greeting,) = await self.dialogue.until(pop3.Greeting)
        assert isinstance(greeting, pop3.Greeting)
        self._timestamp = greeting.apop_timestamp or ""
        if self.account.tls == "starttls":
            await self._stls()
        if not self.is_presuming:
            await self._ask_capabilities()
        await self._log_in()
        self._learn()
        return self._found

    # --- what the server can do

    @property
    def _names(self) -> Collection[str]:
        return self.known.extensions if self.is_presuming else self._client.capabilities

    @property
    def _mechanisms(self) -> Collection[str]:
        if self.is_presuming:
            return self.known.extensions.get("SASL", "").split()
        return self._client.sasl_mechanisms

    @property
    def _client(self) -> Client:
        return self.dialogue.client

    async def _ask_capabilities(self) -> None:
        self._client.capa()
        await self.dialogue.until(pop3.Capabilities)
        self.dialogue.can_pipeline = self._client.can_pipeline

    def _shown(self) -> dict[str, str]:
        """What it has answered to CAPA."""
        shown = dict.fromkeys(sorted(self._client.capabilities), "")
        if shown.get("SASL") is not None:
            shown["SASL"] = " ".join(sorted(self._client.sasl_mechanisms))
        return shown

    def _learn(self) -> None:
        self.known = replace(self.known, extensions=self._shown())
        self.dialogue.can_pipeline = self._client.can_pipeline

    # --- TLS

    async def _stls(self) -> None:
        """STLS; a known server is not asked whether it has it (RFC 2595 section 4)."""
        if not self.is_presuming:
            await self._ask_capabilities()
            if "STLS" not in self._client.capabilities:
                raise TlsFailed(f'{self.dialogue.peer}: offers no STLS; tls = "none" goes without')
        self._client.stls()
        await self.dialogue.until(pop3.TlsReady)
        await self._start_tls()
        self._client.after_tls()

    async def _start_tls(self) -> None:
        assert self.account.tls_context is not None
        context = self.account.tls_context()
        await self.dialogue.stream.start_tls(
            context, self.account.server, self.account.timeout_seconds
        )

    # --- the login

    async def _log_in(self) -> None:
        host, _, address = self.dialogue.peer.partition("[")
        credentials = await self.account.login.credentials(
            host.strip() or self.account.server, address.removesuffix("]")
        )
        assert credentials is not None  # an account has a user
        try:
            await self._log_in_as_it_allows(credentials)
        except LoginRefused as error:
            newer = await self.account.login.renewed(credentials)
            if newer is None or newer.token == credentials.token:
                raise
            if self._client.state is not State.AUTHORIZATION:
                raise error from None
            await self._log_in_as_it_allows(newer)

    async def _log_in_as_it_allows(self, credentials: sasl.Credentials) -> None:
        try:
            await self._log_in_with(credentials)
        except LoginRefused as error:
            if not await self._may_try_otherwise(error):
                raise
            await self._log_in_with(credentials)

    async def _may_try_otherwise(self, error: LoginRefused) -> bool:
        """Was it our way that was refused, and not the name and password?"""
        has_changed = self.is_presuming and self._shown() != self.known.extensions
        if not has_changed and not self._is_apop_refused:
            return False
        self.is_presuming = False
        self._learn()
        try:
            await self.dialogue.all_owed()
        except WireError:
            raise error from None
        return self._client.state is State.AUTHORIZATION

    async def _log_in_with(self, credentials: sasl.Credentials) -> None:
        is_private = self.account.tls != "none"
        mechanism = sasl.choose(
            self._mechanisms,
            credentials,
            is_private=is_private,
            host=self.account.server,
            service="pop",
        )
        self._is_apop_refused = False
        if self.is_presuming:
            self._client.capa()
            self.dialogue.can_pipeline = True
        if self._takes_apop(credentials, mechanism):
            await self._apop(credentials)
        elif self._takes_user(credentials, mechanism):
            can_pipeline = self.dialogue.can_pipeline
            password = credentials.password or ""
            self._client.login_user(credentials.user, password, pipelined=can_pipeline)
            await self._end_login()
        elif mechanism is not None:
            await self._play(mechanism)
        else:
            raise self._no_way(credentials)

    async def _end_login(self) -> None:
        """See that it is granted; what may go along with it does."""
        if self.dialogue.can_pipeline:
            self.ask(self._client)
        self._found = await self.dialogue.until(pop3.LoggedIn)

    async def _apop(self, credentials: sasl.Credentials) -> None:
        self._client.login_apop(credentials.user, credentials.password or "", self._timestamp)
        try:
            await self._end_login()
        except LoginRefused:
            # There are servers that greet for it and cannot do it, or not for everybody.
            if not credentials.mechanisms:
                self.known = replace(self.known, broken=self.known.broken | {_APOP})
                self._is_apop_refused = not credentials.is_guarded
            raise

    async def _play(self, mechanism: sasl.Mechanism) -> None:
        self._client.login_sasl(mechanism)
        try:
            self._found = await self.dialogue.until(pop3.LoggedIn, lambda: self._go_on(mechanism))
        except LoginRefused as error:
            if not mechanism.told:
                raise
            what = f"{self.dialogue.peer}: {mechanism.name} says {mechanism.told}: AUTH refused"
            raise LoginRefused(error.status, what) from None

    def _go_on(self, mechanism: sasl.Mechanism) -> None:
        """The last word of a mechanism may have company, as PASS may."""
        has_said_all = mechanism.has_said_all and not mechanism.told
        is_last = self._client.state is State.SASL and has_said_all
        if is_last and self.dialogue.can_pipeline and self._client.outstanding == 1:
            self.ask(self._client)

    def _takes_apop(self, credentials: sasl.Credentials, mechanism: sasl.Mechanism | None) -> bool:
        """On a line that others read, where nothing better hides the password; or if it is asked
        for by its name."""
        if not self._timestamp or credentials.password is None:
            return False
        if credentials.mechanisms:
            return _APOP in credentials.mechanisms and mechanism is None
        if self.account.tls != "none" or _APOP in self.known.broken:
            return False
        return mechanism is None or sasl.shows_secret(mechanism.name)

    def _takes_user(self, credentials: sasl.Credentials, mechanism: sasl.Mechanism | None) -> bool:
        """USER and PASS share a flight with the listings, and show as much as PLAIN does."""
        if credentials.password is None:
            return False
        allowed = credentials.mechanisms
        if allowed and not any(sasl.shows_secret(name) for name in allowed):
            return False
        if mechanism is None:
            return True
        shows_anyhow = self.account.tls != "none" or sasl.shows_secret(mechanism.name)
        return "USER" in self._names and shows_anyhow

    def _no_way(self, credentials: sasl.Credentials) -> RefusedError:
        offered = " ".join(sorted(self._mechanisms)) or "nothing"
        only = f", auth allows {' '.join(credentials.mechanisms)}" if credentials.mechanisms else ""
        text = f"no way to log in: the server offers {offered}{only}"
        return LoginRefused(temporary(text, "4.7.4", 454), self.dialogue.peer)
