"""Lines that we bring up ourselves: dial, hold while there is work, hang up.

    down --hold--> dialling --up_command--> up --the last lets go--> idle --idle_seconds--> down
                   busy: waits, and twice as long each time, then dials again

Whatever happens, a line that we have dialled is hung up: when the work ends or is called off, when
the node ends, and, after a `kill -9`, at its next start or run. What says that it may be up is in
the store before `up_command` runs. Who has the line holds a lock, so that nobody hangs up a line
that another living process works over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from relaynode.errors import BusyError, ConnectFailed, DialFailed, StoreError, TimedOut
from relaynode.links.line_lock import dial_lock
from relaynode.queue.dials import HUNG_UP
from relaynode.queue.finish import finish
from relaynode.wire.errand import run_errand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from relaynode.config.schema import LinkSection
    from relaynode.config.values import Command
    from relaynode.queue.store import Store

LOOK_SECONDS = 1.0
"""How often `is_up_command` is asked while the line comes up."""

DOWN_SECONDS = 60.0
"""What `is_up_command` and `down_command` may take."""

HANG_UPS, HANG_UP_WAIT_SECONDS = 3, 5.0
"""So often a line is hung up that does not want to: it costs."""

URGENT_PAUSE_SECONDS = 900.0
"""Urgent mail has nothing dialled so soon after a dial that came to nothing."""

HUNG_UP_LATER = "left up, and hung up later"

log = logging.getLogger("relaynode")


class DialledLine:
    """The line of one link. `clock`: epoch seconds. `errand`: see run_errand."""

    def __init__(
        self,
        link: str,
        section: LinkSection,
        store: Store,
        spool: Path,
        clock: Callable[[], float],
        *,
        errand: Callable[[Sequence[str], float], Awaitable[int]] = run_errand,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._section = section
        self._store = store
        self._spool = spool
        self._clock = clock
        self._errand = errand
        self._sleep = sleep
        self._changing = asyncio.Lock()
        self._holders = 0
        self._lock: contextlib.ExitStack | None = None
        """Held while the line is up here."""
        self._dial: int | None = None
        """The number of ours; None: somebody else brought the line up, and hangs it up."""
        self._verdict = HUNG_UP
        self._idling: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def held(self, *, dials: bool = True) -> AsyncIterator[None]:
        """The line is up meanwhile. Without `dials`: if it is up, it stays so.

        Raises: DialFailed, BusyError (another process has it up), StoreError.
        """
        async with self._changing:
            is_ours = dials or self._lock is not None
            self._stop_idling()
            if self._lock is None and dials:
                await self._bring_up()
            self._holders += is_ours
        lingers = False
        try:
            yield
            lingers = True
        finally:
            if is_ours:
                await finish(self._let_go(lingers=lingers))

    def spoil(self, verdict: str) -> None:
        """The line is no good, though it came up: it is not kept for what may come."""
        self._verdict = verdict

    async def close(self) -> None:
        """Nobody works over it any more: hang up now what is idle."""
        async with self._changing:
            self._stop_idling()
            if self._holders == 0 and self._lock is not None:
                await finish(self._hang_up())

    async def recover(self) -> None:
        """Hang up what a process that was killed has left up. Raises: StoreError."""
        async with self._changing:
            if self._lock is not None:
                return
            with dial_lock(self._spool, self._link) as is_ours:
                if not is_ours:
                    return
                await self._hang_up_those_left()
                await self._store.set_link(self._link, False, self._clock())

    async def is_rested(self) -> bool:
        """May urgent mail have it dialled now? Raises: StoreError."""
        now = self._clock()
        today = await self._store.dials.since(_midnight(now), self._link)
        if 0 < self._section.dials_per_day <= len(today):
            return False
        since = now - URGENT_PAUSE_SECONDS
        late = [one for one in await self._store.dials.since(since, self._link) if one.ended]
        return not late or late[-1].ended == HUNG_UP

    # --- up

    async def _bring_up(self) -> None:
        held = contextlib.ExitStack()
        try:
            if not held.enter_context(dial_lock(self._spool, self._link)):
                raise BusyError(f"link {self._link}: another process has dialled it")
            self._verdict = HUNG_UP
            left = await self._store.dials.not_ended(self._link)
            if self._section.is_up_command is not None and await self._is_up():
                self._dial = left.pop() if left else None
                for number in left:
                    await self._store.dials.end(number, HUNG_UP_LATER)
                log.info("link %s: it is up already", self._link)
            else:
                await self._hang_up_those_left()
                self._dial = await self._dial_until_up()
            await self._store.set_link(self._link, True, self._clock())
        except BaseException:
            if self._dial is not None:
                await finish(self._hang_up_dial(self._dial, "called off"))
                self._dial = None
            held.close()
            raise
        self._lock = held

    async def _dial_until_up(self) -> int:
        """The number of the dial that came to something. Raises: DialFailed."""
        wait_seconds = float(self._section.redial_wait_seconds)
        for left in range(self._section.redial_attempts, -1, -1):
            await self._check_limit()
            number = await self._store.dials.begin(self._link, self._clock())
            failure = await self._dial_once(number)
            if failure is None:
                return number
            if not left:
                raise DialFailed(f"link {self._link}: {failure}")
            log.warning("link %s: %s; dialled again in %g s", self._link, failure, wait_seconds)
            await self._sleep(wait_seconds)
            wait_seconds *= 2
        raise AssertionError("the last one raises")

    async def _check_limit(self) -> None:
        limit, now = self._section.dials_per_day, self._clock()
        if limit and len(await self._store.dials.since(_midnight(now), self._link)) >= limit:
            text = f"link {self._link}: dialled {limit} times today, which is all that it may be"
            raise DialFailed(text)

    async def _dial_once(self, number: int) -> str | None:
        """Why it did not come up; None if it did. Raises: DialFailed if nothing can dial."""
        command = self._section.up_command
        assert command is not None, "the configuration was checked"
        log.info("link %s: dialling", self._link)
        try:
            async with asyncio.timeout(self._section.up_timeout_seconds):
                code = await self._errand(command.words, self._section.up_timeout_seconds)
                if code != 0:
                    failure = _ended(command, code)
                    await self._store.dials.end(number, failure)
                    return failure
                while self._section.is_up_command is not None and not await self._is_up():
                    await self._sleep(LOOK_SECONDS)
            return None
        except ConnectFailed as error:
            await self._store.dials.end(number, str(error))
            raise DialFailed(f"link {self._link}: {error}") from error
        except (TimedOut, TimeoutError):
            failure = f"not up after {self._section.up_timeout_seconds} s"
            await finish(self._hang_up_dial(number, failure))
            return failure
        except BaseException:
            await finish(self._hang_up_dial(number, "called off"))
            raise

    async def _is_up(self) -> bool:
        command = self._section.is_up_command
        assert command is not None, "asked only where there is one"
        try:
            return await self._errand(command.words, DOWN_SECONDS) == 0
        except (ConnectFailed, TimedOut) as error:
            log.warning("link %s: %s", self._link, error)
            return False

    # --- down

    async def _let_go(self, *, lingers: bool) -> None:
        async with self._changing:
            self._holders -= 1
            if self._holders:
                return
            if lingers and self._section.idle_seconds and self._verdict == HUNG_UP:
                self._idling = asyncio.ensure_future(self._idle())
            else:
                await self._hang_up()

    async def _idle(self) -> None:
        await self._sleep(self._section.idle_seconds)
        async with self._changing:
            self._idling = None
            if self._holders == 0 and self._lock is not None:
                await finish(self._hang_up())

    def _stop_idling(self) -> None:
        if self._idling is not None:
            self._idling.cancel()
            self._idling = None

    async def _hang_up(self) -> None:
        held, self._lock = self._lock, None
        dial, self._dial = self._dial, None
        assert held is not None, "it is up"
        with held:
            try:
                await self._store.set_link(self._link, False, self._clock())
            except StoreError as error:  # the line costs, whatever the disk does
                log.error("%s", error)
            if dial is not None:
                await self._hang_up_dial(dial, self._verdict)

    async def _hang_up_dial(self, number: int, ended: str) -> None:
        """Where it cannot be hung up, the dial stays open: the next start tries again."""
        if await self._run_down():
            try:
                await self._store.dials.end(number, ended)
            except StoreError as error:
                log.error("%s", error)

    async def _run_down(self) -> bool:
        command = self._section.down_command
        if command is None:
            return True
        failure = ""
        for left in range(HANG_UPS, 0, -1):
            try:
                code = await self._errand(command.words, DOWN_SECONDS)
                if code == 0:
                    log.info("link %s: hung up", self._link)
                    return True
                failure = _ended(command, code)
            except (ConnectFailed, TimedOut) as error:
                failure = str(error)
            if left > 1:
                await self._sleep(HANG_UP_WAIT_SECONDS)
        log.error("link %s: it may still be up: %s", self._link, failure)
        return False

    async def _hang_up_those_left(self) -> None:
        left = await self._store.dials.not_ended(self._link)
        if not left:
            return
        log.warning("link %s: left up by a process that was killed", self._link)
        if await finish(self._run_down()):
            for number in left:
                await self._store.dials.end(number, HUNG_UP_LATER)


def _ended(command: Command, code: int) -> str:
    how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
    return f"{command.words[0]} {how}"


def _midnight(now: float) -> float:
    """When this day began here."""
    today = datetime.fromtimestamp(now).astimezone()
    return today.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
