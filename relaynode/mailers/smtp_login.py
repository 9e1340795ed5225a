"""How an SMTP session logs in: which mechanism, what a refusal means, and who is asked for secrets.

the server says          what we do
-----------------------  --------------------------------------------------------------
500 501 502 504 534 538  this mechanism is not for here: the next one, in the same session
535, and we have a token  one newer token is asked for, and tried once
all else                 the session is over: LoginRefused
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode import sasl
from relaynode.errors import LoginRefused
from relaynode.mail.reason import Reason
from relaynode.mail.status import temporary
from relaynode.smtp.client_events import Ready

if TYPE_CHECKING:
    from relaynode.logins import Login
    from relaynode.mailers.smtp_dialogue import Dialogue

_NOT_THIS_ONE = frozenset({500, 501, 502, 504, 534, 538})
"""RFC 4954 section 6: unknown, malformed for its taste, too weak, or only under encryption."""

_NOT_THIS_SECRET = 535


@dataclass(slots=True)
class SmtpLogin:
    """The login of one session. `host`: the server's name. `is_private`: the line is under TLS."""

    dialogue: Dialogue
    login: Login
    host: str
    is_private: bool
    turned_down: list[str] = field(default_factory=list)
    last: LoginRefused | None = None
    is_renewed: bool = False

    async def is_wanted(self) -> bool:
        """Is there something to log in with? Raises: TableError."""
        if self.login.is_required:
            return True
        return await self._credentials() is not None

    async def _credentials(self) -> sasl.Credentials | None:
        return await self.login.credentials(self.host, _address(self.dialogue.peer))

    async def run(self) -> None:
        """Log in, if there is something to log in with.

        Raises: WireError, LoginRefused, NoSecret, TableError, ProtocolError.
        """
        offered = self.dialogue.client.mechanisms
        if not offered and not self.login.is_required:
            return
        credentials = await self._credentials()
        while credentials is not None:
            mechanism = sasl.choose(
                offered,
                credentials,
                is_private=self.is_private,
                host=self.host,
                without=self.turned_down,
            )
            if mechanism is None:
                self._give_up(credentials)
                return
            credentials = await self._try(mechanism, credentials)

    async def _try(
        self, mechanism: sasl.Mechanism, credentials: sasl.Credentials
    ) -> sasl.Credentials | None:
        """One attempt; what to try with next, None when we are in."""
        self.dialogue.client.authenticate(mechanism)
        try:
            await self.dialogue.until(Ready)
        except LoginRefused as error:
            told = f": {mechanism.name} says {mechanism.told}" if mechanism.told else ""
            what = f"{self.dialogue.peer}{told}: AUTH refused"
            self.last = LoginRefused(error.status, what)
            if error.status.code in _NOT_THIS_ONE:
                self.turned_down.append(mechanism.name)
                return credentials
            return await self._renewed(credentials, error.status.code)
        return None

    async def _renewed(self, credentials: sasl.Credentials, code: int) -> sasl.Credentials:
        assert self.last is not None
        if code != _NOT_THIS_SECRET or self.is_renewed:
            raise self.last from None
        self.is_renewed = True
        newer = await self.login.renewed(credentials)
        if newer is None:
            raise self.last from None
        return newer

    def _give_up(self, credentials: sasl.Credentials) -> None:
        """Nothing that the server offers will do. Raises: LoginRefused."""
        if self.last is not None:
            raise self.last
        if not self.login.is_required:
            return
        offered = " ".join(self.dialogue.client.mechanisms) or "nothing"
        only = f", auth allows {' '.join(credentials.mechanisms)}" if credentials.mechanisms else ""
        text = f"no way to log in: the server offers {offered}{only}"
        if credentials.token is not None and not self.is_private:
            text += "; a token is sent under TLS only"
        status = temporary(text, "4.7.4", 454)
        raise LoginRefused(status, self.dialogue.peer, Reason.AUTH_NO_MECHANISM)


def _address(peer: str) -> str:
    """The address in "mx.example.net [192.0.2.25]"."""
    return peer.rpartition("[")[2].removesuffix("]")
