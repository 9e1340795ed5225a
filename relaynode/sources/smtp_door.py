"""What holds for SMTP clients that come in at one address: TLS, logins, and what they are for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.accounts.answers import Later, More, Nonsense, Passed, Visitor
from relaynode.accounts.plain_text import may_log_in_plainly
from relaynode.mail.status import Status
from relaynode.policy.senders import SenderRule
from relaynode.smtp.security import Security
from relaynode.wire.tcp import TcpStream

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from relaynode.accounts.accounts import Accounts, Login
    from relaynode.accounts.answers import Answer
    from relaynode.smtp.server import Session
    from relaynode.wire.server_context import ServerCertificate
    from relaynode.wire.stream import Stream


@dataclass(frozen=True, slots=True)
class Door:
    """`accounts`: who may log in. `certificate`: what TLS is spoken with. `is_private`: TLS comes
    before everything else. `demands_login`: it is for submission alone. `plain_networks`: whence
    people may log in without TLS, beside this machine. `senders`: as whom they may write."""

    accounts: Accounts | None = None
    certificate: ServerCertificate | None = None
    is_private: bool = False
    demands_login: bool = False
    plain_networks: Sequence[Container[Any]] = ()
    senders: SenderRule = field(default_factory=SenderRule)

    async def security(self, address: str) -> Security:
        """What a client at this IP address is offered."""
        return Security(
            offers_tls=self.certificate is not None and self.certificate.is_usable,
            mechanisms=() if self.accounts is None else await self.accounts.mechanisms(),
            allows_plain=may_log_in_plainly(address, self.plain_networks),
            demands_login=self.demands_login,
            is_private=self.is_private,
        )

    async def start_tls(self, stream: Stream) -> None:
        """Shake hands as the server. Raises: WireError, TlsFailed."""
        assert self.certificate is not None, "TLS was not offered"
        await self.certificate.accept(stream)


class Entering:
    """The logins of one session, one after the other. `user`: who has come in, by `mechanism`."""

    def __init__(self, door: Door, session: Session, address: str) -> None:
        self._door = door
        self._session = session
        self._address = address
        self._login: Login | None = None
        self.user = ""
        self.mechanism = ""

    async def begin(self, mechanism: str, initial: bytes | None) -> None:
        """AUTH: what comes of it is said to the session."""
        self.cancel()
        self.mechanism = mechanism
        assert self._door.accounts is not None, "no mechanism was offered"
        visitor = Visitor("smtp", self._address, self._session.security.is_private)
        self._login = self._door.accounts.begin(mechanism, visitor)
        await self.go_on(initial)

    async def go_on(self, response: bytes | None) -> None:
        """A response: what comes of it is said to the session."""
        assert self._login is not None, "no login has begun"
        answer = await self._login.step(response)
        if isinstance(answer, More):
            self._session.challenge(answer.challenge)
            return
        self._login = None
        if isinstance(answer, Passed):
            self.user = answer.user
        self._session.reply(_reply(answer))

    def cancel(self) -> None:
        """It was given up."""
        if self._login is not None:
            self._login.close()
            self._login = None


def cipher_of(stream: Stream) -> tuple[str, str, int] | None:
    """Name, version and secret bits of what TLS encrypts the line with, if it does."""
    return stream.cipher if isinstance(stream, TcpStream) else None


def tls_of(stream: Stream) -> str:
    """What a Received line says of TLS, as sendmail writes it; "" without."""
    found = cipher_of(stream)
    if found is None:
        return ""
    name, version, bits = found
    return f"version={version} cipher={name} bits={bits} verify=NO"


def _reply(answer: Answer) -> Status:
    """RFC 4954 section 6."""
    match answer:
        case Passed():
            return Status(235, "2.7.0", "Authentication successful")
        case Nonsense(text):
            return Status(501, "5.5.2", text)
        case Later(text):
            return Status(454, "4.7.0", text)
    return Status(535, "5.7.8", "Authentication failed")
