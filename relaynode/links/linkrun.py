"""The run that a link-up starts: flush, poll and call at the same time, then deliver what came.

One run a link at a time, whoever starts it: the hook, cron and the daemon (see line_lock.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from relaynode.errors import BudgetSpent, BusyError, CalledOff, DialFailed, RelaynodeError
from relaynode.links.budgets import Budgets
from relaynode.links.hours import is_open
from relaynode.links.line_lock import line_lock
from relaynode.links.queuerun import QueueRun
from relaynode.links.recorder import Recorder
from relaynode.links.run_parts import RunResult
from relaynode.links.summary import Summary
from relaynode.links.verdict import of_error
from relaynode.links.wish import ALL, Wish
from relaynode.polls.poll import Poll
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine

    from relaynode.config.loader import Config
    from relaynode.links.calling import Calling
    from relaynode.links.dialling import DialledLine
    from relaynode.links.etrn import Asked
    from relaynode.links.fetching import Fetching
    from relaynode.links.run_parts import RunParts
    from relaynode.neighbours import Neighbour, Neighbours
    from relaynode.sources.intake import Intake

T = TypeVar("T")

log = logging.getLogger("relaynode.polls")


class LinkRun:
    """Runs over one link. `monotonic`: seconds for measuring."""

    def __init__(
        self,
        config: Config,
        parts: RunParts,
        intake: Intake,
        neighbours: Neighbours,
        calling: Callable[[], Calling],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._config = config
        self._parts = parts
        self._intake = intake
        self._neighbours = neighbours
        self._calling_of = calling
        self._monotonic = monotonic
        self._recorder = Recorder(parts.store.link_runs, parts.clock, monotonic)
        self._budgets = Budgets(config.links, parts.store.link_runs, parts.clock, monotonic)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running: set[str] = set()
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._lines = _lines(config, parts)
        self._silent: set[str] = set()
        """Links that are always up, and over which nobody answered last."""
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def _calling(self) -> Calling:
        return self._calling_of()

    @cached_property
    def _fetching(self) -> Fetching:
        from relaynode.links.fetching import Fetching  # most runs of most nodes fetch nothing

        return Fetching(self._config, self._parts, self._intake, self._monotonic)

    def call_off(self, link: str) -> None:
        """The line went down: end what is under way over it. Its runs raise CalledOff."""
        for task, over in list(self._tasks.items()):
            if over == link:
                task.cancel()
        if link in self._lines:
            closing = asyncio.ensure_future(self._lines[link].close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def came_up(self, link: str) -> None:
        """Somebody says so. What we dial is up when it was dialled. Raises: StoreError."""
        if link not in self._lines:
            await self._parts.store.set_link(link, True, self._parts.clock())

    async def recover(self) -> None:
        """Hang up lines that a killed process has left up. Raises: StoreError."""
        await asyncio.gather(*(line.recover() for line in self._lines.values()))

    async def close(self) -> None:
        """Hang up what is up and idle."""
        await asyncio.gather(*self._closing, *(line.close() for line in self._lines.values()))

    def _dialled(
        self, link: str, *, dials: bool = True
    ) -> contextlib.AbstractAsyncContextManager[None]:
        line = self._lines.get(link)
        return contextlib.nullcontext() if line is None else line.held(dials=dials)

    async def _over(
        self,
        summary: Summary,
        work: Coroutine[Any, Any, T],
        *,
        is_ordered: bool,
        over_budget: bool = False,
    ) -> T:
        """Work over a link, under its locks, that `call_off` can end, while it waits too.

        Raises: BusyError, CalledOff, BudgetSpent, and what the work raises.
        """
        link = summary.link
        with contextlib.closing(work):
            locked = self._locked(summary, work, is_ordered=is_ordered, over_budget=over_budget)
            return await self._may_end(link, locked, f"the run over link {link}")

    async def _may_end(self, link: str, work: Coroutine[Any, Any, T], what: str) -> T:
        """Do it so that `call_off` can end it. Raises: CalledOff, and what the work raises."""
        task = asyncio.ensure_future(work)
        self._tasks[task] = link
        try:
            await asyncio.wait((task,))
        finally:
            del self._tasks[task]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if task.cancelled():
            raise CalledOff(f"{what} was called off")
        return task.result()

    async def _locked(
        self,
        summary: Summary,
        work: Coroutine[Any, Any, T],
        *,
        is_ordered: bool,
        over_budget: bool,
    ) -> T:
        link = summary.link
        async with (
            self._locks[link],
            line_lock(self._config.spool, link, is_ordered=is_ordered),
            self._recorder.recorded(summary, is_ordered=is_ordered),
            self._budgets.kept(summary, over_budget=over_budget),
            self._dialled(link, dials=is_ordered),
        ):
            return await work

    def _summary(self, link: str) -> Summary:
        return Summary(link, count=self._budgets.purse(link))

    async def run_due(
        self, link: str | None, queue_ids: Collection[str] | None = None
    ) -> RunResult:
        """Try what is due over `link`, or what stays on this machine; no polling.

        With `queue_ids`, only these messages. Does nothing while a run of the link is under way:
        that one takes new mail along.
        Raises: BusyError when another process has the link; StoreError.
        """
        summary = self._summary(link) if link else Summary("")
        run = self._queue_run(
            link, summary, ALL, lambda _: None, due_only=True, queue_ids=queue_ids
        )
        if link is None:
            return await run.run()
        await self._note_links(link)
        if self._locks[link].locked() or not await run.has_work():
            return run.result
        summary.flush = run.result
        if problem := await self._budgets.problem(link):
            await run.put_off(of_error(BudgetSpent(problem)))
            return run.result
        try:
            result = await self._over(summary, run.run(), is_ordered=False)
        except BudgetSpent as error:
            run.result.problems.append(str(error))
            return run.result
        if not summary.count.is_closing:
            await self._judge(link, result)
        return result

    async def _note_links(self, link: str) -> None:
        """Which links are up: what one is used for, another may be there for if it is down."""
        always = {name for name, one in self._config.links.items() if one.kind == "always"}
        hooked = await self._parts.store.links_up()
        up = {*always, *hooked, *self._tasks.values()} - self._silent
        self._parts.ways.note_links(up | {link})

    async def _judge(self, link: str, result: RunResult) -> None:
        """What a run has shown of its link."""
        if result.is_heard:
            self._silent.discard(link)
        elif result.is_unreachable:
            await self._doubt(link, result)

    async def _doubt(self, link: str, result: RunResult) -> None:
        """The link is said to be up, and nobody answers: it is gone, and no hook said so."""
        if self._config.links[link].kind == "always":
            self._silent.add(link)
        if link in self._lines:
            self._lines[link].spoil("nobody answered")
        if self._config.links[link].kind == "event":
            result.problems.append(f"link {link}: taken to be down until the next linkup")
            await self._parts.store.set_link(link, False, self._parts.clock())

    async def is_worth_a_dial(self, link: str, queue_ids: Collection[str] | None = None) -> bool:
        """Is there urgent mail for a link that is dialled for such? With `queue_ids`: among these.

        Raises: StoreError.
        """
        section = self._config.links[link]
        grade = section.dial_grade
        if link not in self._lines or grade is None or not is_open(section, self._parts.clock()):
            return False
        if not await self._lines[link].is_rested():
            return False
        await self._note_links(link)
        run = self._queue_run(
            link, Summary(link), ALL, lambda _: None, due_only=True, queue_ids=queue_ids
        )
        ways = await run.ways()
        return any(message.grade <= grade for some in ways.values() for message in some)

    async def run(
        self,
        link: str,
        wish: Wish = ALL,
        *,
        on_progress: Callable[[Summary], None] = lambda summary: None,
    ) -> Summary:
        """Do what is wished over `link` and what stays on this machine.

        Trouble with a server is in the summary, not raised. Raises: BusyError when a run of this
        link is under way; StoreError.
        """
        if link in self._running:
            raise BusyError(f"a run over link {link} is under way")
        self._running.add(link)
        try:
            summary = self._summary(link)
            work = self._run(summary, wish, on_progress)
            return await self._over(summary, work, is_ordered=True, over_budget=wish.over_budget)
        except BudgetSpent as error:
            return await self._put_off(summary, wish, error)
        except DialFailed as error:
            summary.problems.append(str(error))
            return summary
        finally:
            self._running.discard(link)

    async def _put_off(self, summary: Summary, wish: Wish, error: BudgetSpent) -> Summary:
        """The run may not begin, or not go on: say so, and do what needs no line."""
        summary.problems.append(str(error))
        if wish.flush:
            over_link = self._queue_run(summary.link, summary, wish, lambda _: None)
            await over_link.put_off(of_error(error))
            summary.flush.deferred += over_link.result.deferred
            await self._queue_run(None, summary, wish, lambda _: None).run()
        return summary

    async def visit(self, link: str, accounts: Collection[str]) -> Summary:
        """Poll these accounts of a link since it is time; a run that is ordered meanwhile waits.

        Raises: BusyError when another process has the link; CalledOff, StoreError.
        """
        wish = Wish(flush=False, accounts=tuple(accounts), is_ordered=False)
        summary = self._summary(link)
        try:
            work = self._run(summary, wish, lambda _: None)
            return await self._over(summary, work, is_ordered=False)
        except (BudgetSpent, DialFailed) as error:
            summary.problems.append(str(error))
            return summary

    async def idle(
        self,
        account: str,
        on_news: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> bool:
        """Wait at an account's server, and call `on_news` when there may be mail, until the line
        is lost. False: the server cannot tell.

        Raises: WireError, RefusedError, ProtocolError, StoreError, TableError.
        """
        return await self._fetching.idle(account, on_news, sleep)

    async def _run(
        self, summary: Summary, wish: Wish, on_progress: Callable[[Summary], None]
    ) -> Summary:
        link = summary.link
        started = self._monotonic()
        await self._note_links(link)

        def progress(_: object) -> None:
            summary.seconds = self._monotonic() - started
            on_progress(summary)

        over_link = self._queue_run(link, summary, wish, progress)
        at_home = self._queue_run(None, summary, wish, progress)
        summary.flush = over_link.result
        work = [self._ask(name, summary) for name in self._asked(link, wish)]
        work += [self._poll(name, wish, summary, progress) for name in self._accounts(link, wish)]
        if wish.flush:
            work += [_try(over_link), _try(at_home), self._call_all(summary, wish, progress)]
        try:
            await _all(work)
            # Once more for what was fetched: into mailboxes, and, where an alias says so,
            # out again. A queue run tries nothing twice.
            after = [_try(at_home)] + ([_try(over_link)] if wish.flush else [])
            await _all(after)
            over_link.result.is_heard |= summary.is_spoken_to
            if not summary.count.is_closing:
                await self._judge(link, over_link.result)
        finally:
            summary.seconds = self._monotonic() - started
            summary.problems += at_home.result.problems
        return summary

    async def _call_all(
        self, summary: Summary, wish: Wish, progress: Callable[[object], None]
    ) -> None:
        """Call the neighbours over the link that there is something for."""
        if not any(True for _ in self._neighbours):
            return
        takes = wish.takes if wish.only else None
        over = self._calling.over(summary.flush, summary.calls, summary.count, progress)
        wanted = await self._calling.wanted(summary.link, takes=takes)
        await _all([self._calling.call(one, over, wish.takes) for one in wanted])

    async def due_calls(self, link: str) -> list[str]:
        """The neighbours over a link that it is time to call. Raises: StoreError."""
        if await self._budgets.problem(link):
            return []
        return [one.name for one in await self._calling.wanted(link, due_only=True)]

    async def call(self, name: str) -> Summary:
        """Call one neighbour, whatever else is under way over its link. `call_off` ends it.

        Raises: CalledOff, BudgetSpent, StoreError.
        """
        neighbour = self._calling.find(name)
        if neighbour is None:
            return Summary("")
        summary = self._summary(neighbour.link)
        work = self._call(neighbour, summary)
        await self._may_end(neighbour.link, work, f"the call to {name}")
        return summary

    async def _call(self, neighbour: Neighbour, summary: Summary) -> None:
        async with (
            self._recorder.recorded(summary, is_ordered=False),
            self._budgets.kept(summary),
            self._dialled(neighbour.link, dials=False),
        ):
            over = self._calling.over(summary.flush, summary.calls, summary.count)
            await self._calling.call(neighbour, over)

    def _queue_run(
        self,
        link: str | None,
        summary: Summary,
        wish: Wish,
        progress: Callable[[object], None],
        *,
        due_only: bool = False,
        queue_ids: Collection[str] | None = None,
    ) -> QueueRun:
        return QueueRun(
            self._parts,
            ByteCount() if link is None else summary.count,
            takes_way=lambda way: (
                self._parts.ways.link_of(way) == link
                and way.kind != "neighbour"
                and (not way.waits_to_be_asked or wish.names_recipients)
            ),
            takes=wish.takes,
            due_only=due_only,
            queue_ids=queue_ids,
            on_progress=progress,
        )

    def _accounts(self, link: str, wish: Wish) -> list[str]:
        return [
            name
            for name, account in self._config.file.account.items()
            if wish.poll
            and self._config.link_of(account) == link
            and (wish.accounts is None or name in wish.accounts)
        ]

    def _asked(self, link: str, wish: Wish) -> list[str]:
        return [
            name
            for name, section in self._config.file.etrn.items()
            if wish.poll
            and self._config.link_of(section) == link
            and (wish.accounts is None or name in wish.accounts)
        ]

    async def _ask(self, name: str, summary: Summary) -> None:
        """Have the mail sent to us that a server keeps."""
        asked: list[Asked] = []
        try:
            await self._fetching.ask(name, asked, summary.count)
        except RelaynodeError as error:
            summary.problems.append(f"etrn {name}: {error}")
        summary.asked += asked
        summary.problems += [f"etrn {name}: it {one.problem}" for one in asked if one.problem]

    async def _poll(
        self, name: str, wish: Wish, summary: Summary, progress: Callable[[object], None]
    ) -> None:
        result = Poll(name)
        summary.polls.append(result)
        try:
            await self._fetching.poll(
                result,
                summary.count,
                progress,
                only_counts=wish.only_counts,
                is_named=wish.accounts is not None and wish.is_ordered,
            )
            summary.flush.is_heard = True
            log.info("%s", result)
        except RelaynodeError as error:
            result.reason = error.reason
            summary.problems.append(f"account {name}: {error}")


def _lines(config: Config, parts: RunParts) -> dict[str, DialledLine]:
    """The lines that we dial, by link."""
    dialled = {name: link for name, link in config.links.items() if link.kind == "dial"}
    if not dialled:
        return {}
    from relaynode.links.dialling import DialledLine  # most nodes dial nothing

    return {
        name: DialledLine(name, link, parts.store, config.spool, parts.clock)
        for name, link in dialled.items()
    }


async def _try(run: QueueRun) -> None:
    await run.run()


async def _all(work: list[Coroutine[Any, Any, None]]) -> None:
    """Let all of it end, then raise the first error."""
    for end in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end
