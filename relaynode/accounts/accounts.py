"""Who may log in, as the listeners see it: a checker, with a brake on it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from relaynode.accounts.answers import Denied, Later, More, Nonsense, Passed
from relaynode.accounts.brake import Brake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from relaynode.accounts.answers import Answer, Checker, Conversation, Visitor

log = logging.getLogger("relaynode")

_SHUT = Later("too many failed logins from your address; try again later")


class Accounts:
    """`checker`: who knows the accounts, None if there are none. `now`: seconds of a clock that
    only goes on. `wait`: lets seconds go by for one session alone. `on_failed`: told the address
    that a login has failed from."""

    on_failed: Callable[[str], None] = staticmethod(lambda address: None)

    def __init__(
        self,
        checker: Checker | None,
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._checker = checker
        self._brake = Brake()
        self._now = now
        self._wait = wait

    async def mechanisms(self) -> tuple[str, ...]:
        """What may be offered to any client, the one that shows least first."""
        return () if self._checker is None else await self._checker.mechanisms()

    def begin(self, mechanism: str, visitor: Visitor) -> Login:
        """A login with one of `mechanisms`, for one client."""
        assert self._checker is not None, "no mechanisms were offered"
        return Login(self, self._checker.open(mechanism, visitor), mechanism, visitor)

    async def check(self, user: str, password: str, visitor: Visitor) -> Answer:
        """A name and a password that a protocol has brought by a command of its own."""
        if self._checker is None:
            return Denied()
        login = self.begin("PLAIN", visitor)
        answer = await login.step(f"\0{user}\0{password}".encode())
        login.close()
        return Denied() if isinstance(answer, More | Nonsense) else answer

    def is_shut(self, visitor: Visitor) -> bool:
        """Is this client not heard at the moment?"""
        return self._brake.is_shut(visitor.address, self._now())

    def has_failed(self, address: str) -> bool:
        """Has a login from there failed lately?"""
        return self._brake.has_failed(address, self._now())

    def note_failure(self, address: str) -> None:
        """A login has failed at another process of this node."""
        self._brake.failed(address, self._now())

    async def settle(self, answer: Answer, mechanism: str, visitor: Visitor) -> None:
        """Note how a login has ended, and let a failure take its time."""
        where = f"{visitor.service} [{visitor.address}] {mechanism}"
        if isinstance(answer, Passed):
            self._brake.passed(visitor.address)
            log.info("login: %s: %s", where, answer.user)
        elif isinstance(answer, Denied | Nonsense):
            log.warning("login failed: %s", where)
            self.on_failed(visitor.address)
            await self._wait(self._brake.failed(visitor.address, self._now()))


class Login:
    """One login of one client: steps until the answer is anything but More."""

    def __init__(
        self, accounts: Accounts, talk: Conversation, mechanism: str, visitor: Visitor
    ) -> None:
        self._accounts = accounts
        self._talk = talk
        self._mechanism = mechanism
        self._visitor = visitor

    async def step(self, response: bytes | None) -> Answer:
        """Go on with the client's response; None at first, if it had none. A failure's answer
        comes late."""
        if self._accounts.is_shut(self._visitor):
            return _SHUT
        answer = await self._talk.step(response)
        if not isinstance(answer, More):
            self.close()
            await self._accounts.settle(answer, self._mechanism, self._visitor)
        return answer

    def close(self) -> None:
        """It is over, or given up."""
        self._talk.close()
