"""What a listener's filters have to do with one session of an SMTP client: `filters.py` is asked at
each step, and what they say is done to the transaction. Where there are none, nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RelaynodeError, StoreFull
from relaynode.mail.status import Status, temporary
from relaynode.queue.ids import new_queue_id
from relaynode.sources.intake import Parcel
from relaynode.sources.letter import Letter
from relaynode.sources.smtp_transaction import apply_changes
from relaynode.wire.tcp import TcpStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.client import Client
    from relaynode.policy.route import Route
    from relaynode.policy.verdict import Verdict
    from relaynode.smtp.events import Mail
    from relaynode.smtp.server import Session
    from relaynode.sources.filters import Filters, FilterSession
    from relaynode.sources.intake import Arrival, Intake
    from relaynode.sources.smtp_transaction import Expand, Transaction
    from relaynode.wire.stream import Stream

_FULL = Status(452, "4.3.1", "Insufficient disk space; try again later")
_OUR_FAULT = temporary("Local error; try again later", "4.3.0")


@dataclass(slots=True)
class Filtering:
    """One session's. A status that is given is a refusal, to be told to the client."""

    intake: Intake
    max_size_bytes: int
    session: FilterSession | None = None

    @classmethod
    def of(cls, filters: Filters | None, intake: Intake, max_size_bytes: int) -> Filtering:
        """By these filters, or by none."""
        return cls(intake, max_size_bytes, None if filters is None else filters.begin())

    async def connect(self, client: Client, stream: Stream) -> Status | None:
        """A client has come."""
        if self.session is None:
            return None
        ends = (stream.port, stream.own_address) if isinstance(stream, TcpStream) else ()
        return (await self.session.connect(client, *ends)).status

    async def hello(
        self, name: str, smtp: Session, cipher: tuple[str, str, int] | None = None
    ) -> None:
        """HELO or EHLO; who is not wanted gets nothing from now on. `cipher`: of TLS, its name,
        version and secret bits."""
        if self.session is None:
            return
        macros = {}
        if cipher is not None:
            words = (cipher[1], cipher[0], str(cipher[2]))
            macros = dict(zip(("{tls_version}", "{cipher}", "{cipher_bits}"), words, strict=True))
        refusal = (await self.session.hello(name, macros)).status
        if refusal is not None:
            smtp.deny(refusal)

    async def mail(
        self,
        mail: Mail,
        route: Route | None,
        transaction: Transaction,
        user: str = "",
        mechanism: str = "",
    ) -> Status | None:
        """MAIL. `user`: who has logged in, by this `mechanism`."""
        if self.session is None or transaction.is_discarded:
            return None
        transaction.queue_id = new_queue_id()
        login = {"{auth_authen}": user, "{auth_type}": mechanism} if user else {}
        verdict = await self.session.mail(mail, route, transaction.queue_id, login)
        return _noted(transaction, verdict)

    async def rcpt(self, path: str, route: Route, transaction: Transaction) -> Status | None:
        """RCPT of somebody who would be accepted; whom they refuse is forgotten again."""
        if self.session is None or transaction.is_discarded:
            return None
        refusal = _noted(transaction, await self.session.rcpt(path, route))
        if refusal is not None and path not in transaction.given:
            transaction.expansions.pop(path, None)
        return refusal

    async def begin_content(self, transaction: Transaction) -> None:
        """DATA. The client has been told to go on: it hears of a refusal at the end."""
        if self.session is not None and not transaction.is_discarded:
            transaction.failure = _noted(transaction, await self.session.data())

    async def content(
        self, transaction: Transaction, arrival: Callable[[], Arrival], expand: Expand
    ) -> Status | None:
        """Show them the content, and do to the message what they want."""
        if self.session is None or transaction.collector is None or transaction.failure is not None:
            return None
        try:
            return await self._content(self.session, transaction, arrival(), expand)
        except StoreFull:
            return _FULL
        except RelaynodeError:
            return _OUR_FAULT

    async def _content(
        self, session: FilterSession, transaction: Transaction, arrival: Arrival, expand: Expand
    ) -> Status | None:
        assert transaction.collector is not None
        parcel = Parcel(transaction.collector, transaction.envelope(), arrival)
        below = self.intake.lines_below(parcel)
        letter = Letter(self.intake, parcel.collector, below, self.max_size_bytes)
        try:
            verdict = await session.content(letter)
        finally:
            transaction.collector = letter.collector
        if verdict.status is None:
            apply_changes(letter, transaction, expand)
        return _noted(transaction, verdict)

    def end_message(self) -> None:
        """The message is over, whatever became of it."""
        if self.session is not None:
            self.session.end_message()

    async def close(self) -> None:
        """The client is gone."""
        if self.session is not None:
            await self.session.close()


def _noted(transaction: Transaction, verdict: Verdict) -> Status | None:
    transaction.note(verdict)
    return verdict.status
