"""Logins checked here: the mechanisms of `sasl/serving.py`, and secrets out of books.

A hash takes a tenth of a second and some megabytes on purpose. It is computed in a few threads, so
that a crowd that logs in waits in a line, the loop goes on, and memory has a bound.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from relaynode.accounts.answers import Denied, Later, More, Nonsense, Passed
from relaynode.accounts.hashes import SHOWN, Plain, hash_password, parse_secret
from relaynode.errors import RemoteProtocolError, TableError
from relaynode.sasl.asked import (
    Challenge,
    CheckPassword,
    WantAcceptor,
    WantKeys,
    WantPassword,
)
from relaynode.sasl.serving import SERVED, TICKETS, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from relaynode.accounts.answers import Answer, Visitor
    from relaynode.accounts.hashes import Secret
    from relaynode.config.values import Password
    from relaynode.sasl.asked import Acceptor, Asked, Exchange

THREADS = 2
"""Hashes that are computed at once."""

MAX_WAITING = 100
"""Logins that wait for a thread; the next are told to come again."""

log = logging.getLogger("relaynode")

_BUSY = Later("too many logins at the moment; try again later")
_UNREADABLE = Later("passwords cannot be looked up now; try again later")


class Book(Protocol):
    """Where secrets are kept."""

    def entries(self) -> Mapping[str, Secret]:
        """By name in lower case. Raises: TableError."""
        ...


class NamedUsers:
    """Those of the configuration: [user.NAME]."""

    def __init__(self, passwords: Mapping[str, Password]) -> None:
        self._entries = {name.lower(): Plain(one.reveal()) for name, one in passwords.items()}

    def entries(self) -> Mapping[str, Secret]:
        """See Book."""
        return self._entries


class LocalChecker:
    """A `Checker` on some books; where two have a name, the first one's counts.

    `hostname`: our name. `domains`: those behind an @ that say nothing, since they are ours.
    `threads`: so many passwords are checked at once. `tickets`: makes what judges a Kerberos
    ticket, for one login; raises TableError. None: there is no GSSAPI.
    """

    def __init__(
        self,
        books: Sequence[Book],
        *,
        hostname: str,
        domains: Container[str] = (),
        threads: int = THREADS,
        tickets: Callable[[], Acceptor] | None = None,
    ) -> None:
        self.tickets = tickets
        self.hostname = hostname
        self._books = books
        self._domains = domains
        self._threads = ThreadPoolExecutor(threads, "logins")
        self._waiting = 0
        self._common: tuple[list[Mapping[str, Secret]], tuple[str, ...]] | None = None
        self._decoy: Secret | None = None

    async def mechanisms(self) -> tuple[str, ...]:
        """See Checker. A client takes the best that it is offered and tries no other, so what one
        account cannot do is not offered to any. Who has a ticket needs no password."""
        return (*((TICKETS,) if self.tickets else ()), *self._with_passwords())

    def _with_passwords(self) -> tuple[str, ...]:
        try:
            tables = [book.entries() for book in self._books]
        except TableError as error:
            log.error("%s", error)
            return ("PLAIN", "LOGIN")
        known = self._common
        if known is None or any(a is not b for a, b in zip(known[0], tables, strict=True)):
            self._common = known = tables, _common(tables)
        return known[1]

    def open(self, mechanism: str, visitor: Visitor) -> _Exchanging:
        """See Checker."""
        return _Exchanging(self, mechanism)

    def find(self, user: str) -> tuple[str, Secret | None]:
        """The account's own name, and its secret if there is one. Raises: TableError."""
        name = user.lower()
        bare, _, domain = name.rpartition("@")
        for called in (name, bare) if bare and domain in self._domains else (name,):
            for book in self._books:
                if (secret := book.entries().get(called)) is not None:
                    return called, secret
        return name, None

    def is_password(self, user: str, password: str) -> bool:
        """Slow, for a thread; as slow for a name that nobody has. Raises: TableError."""
        _, secret = self.find(user)
        if secret is None:
            self._decoy = self._decoy or parse_secret(hash_password("nobody"))
            self._decoy.is_password(password)
            return False
        return secret.is_password(password)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """Raises: BlockingIOError if too many wait already."""
        if self._waiting >= MAX_WAITING:
            raise BlockingIOError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


class _Exchanging:
    """A `Conversation`."""

    def __init__(self, checker: LocalChecker, mechanism: str) -> None:
        self._checker = checker
        self._mechanism = mechanism
        self._exchange: Exchange | None = None

    async def step(self, response: bytes | None) -> Answer:
        """See Conversation."""
        try:
            return await self._step(response)
        except RemoteProtocolError as error:
            return Nonsense(str(error))
        except TableError as error:
            log.error("%s", error)
            return _UNREADABLE
        except BlockingIOError:
            return _BUSY

    async def _step(self, response: bytes | None) -> Answer:
        if self._exchange is None:
            self._exchange = serve(self._mechanism, response, self._checker.hostname)
            response = None
        asked = await self._sent(response)
        while not isinstance(asked, Challenge | Passed | Denied):
            asked = await self._sent(await self._answer(asked))
        return More(asked.data) if isinstance(asked, Challenge) else asked

    async def _sent(self, value: Any) -> Asked | Passed | Denied:
        """The same, in a thread where it reads files."""
        if self._mechanism == TICKETS:
            found: Asked | Passed | Denied = await self._checker.in_thread(
                lambda: self._send(value)
            )
            return found
        return self._send(value)

    def _send(self, value: Any) -> Asked | Passed | Denied:
        """What the exchange asks next, or how it ends."""
        assert self._exchange is not None
        try:
            return self._exchange.send(value)
        except StopIteration as ended:
            user: str | None = ended.value
        return Denied() if user is None else Passed(self._checker.find(user)[0])

    async def _answer(self, asked: Asked) -> Any:
        checker = self._checker
        match asked:
            case CheckPassword(user, password):
                return await checker.in_thread(lambda: checker.is_password(user, password))
            case WantAcceptor():
                assert checker.tickets is not None, "GSSAPI was not offered"
                return await checker.in_thread(checker.tickets)
            case WantPassword(user):
                secret = checker.find(user)[1]
                return None if secret is None else secret.plain()
            case WantKeys(user, digest):
                secret = checker.find(user)[1]
                return secret and await checker.in_thread(lambda: secret.keys(digest))

    def close(self) -> None:
        """See Conversation."""
        if self._exchange is not None:
            self._exchange.close()


def _common(tables: Sequence[Mapping[str, Secret]]) -> tuple[str, ...]:
    secrets = [secret for table in tables for secret in table.values()]
    if not secrets:
        return ()
    able = frozenset(SERVED).intersection(*(secret.mechanisms for secret in secrets))
    return tuple(name for name in SERVED if name in able | SHOWN)
