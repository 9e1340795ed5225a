"""The POP3 source: visits to one account, each a session; how one is kept full is in pop3_visit.py.

The order that nothing may change: a message is committed together with its mark on the seen-list;
then it is deleted at the server; the mark is dropped when the server has confirmed that. So a cut
anywhere costs at most the message it cuts, and none is queued twice: one whose DELE was not
confirmed is known by its unique-id at the next visit, or by its content where there is none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.polls.choice import Decision
from relaynode.polls.fetched import Fetched
from relaynode.polls.marks import Marks
from relaynode.polls.pop3_dialogue import Dialogue
from relaynode.polls.pop3_listing import QUICK_FROM, WHOLE_AFTER_SECONDS, Listing
from relaynode.polls.pop3_opening import Opening
from relaynode.polls.pop3_visit import Means, Visit
from relaynode.pop3.states import State
from relaynode.queue.mailboxes import MailboxState
from relaynode.queue.servers import KnownServer
from relaynode.wire.meter import NO_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.account import Account
    from relaynode.polls.poll import Poll
    from relaynode.queue.store import Store
    from relaynode.sources.intake import Intake
    from relaynode.wire.meter import ByteCount


class Pop3Poller:
    """Visits one account. `on_progress` is called whenever the poll's figures have changed.

    `clock`: epoch seconds; `monotonic`: seconds for measuring. `only_counts`: look, and fetch and
    delete nothing. `bytes_per_second`: of the line, if it is known without measuring. `count`:
    asked before a message is.
    """

    def __init__(
        self,
        account: Account,
        store: Store,
        intake: Intake,
        *,
        on_progress: Callable[[Poll], None] = lambda poll: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        only_counts: bool = False,
        bytes_per_second: float = 0.0,
        count: ByteCount = NO_LIMIT,
    ) -> None:
        self._account = account
        self._store = store
        self._intake = intake
        self._clock = clock
        self._only_counts = only_counts
        self._means = Means(
            account,
            store,
            intake,
            on_progress,
            clock,
            monotonic,
            only_counts,
            bytes_per_second,
            count,
        )

    async def poll(self, result: Poll) -> None:
        """Fetch all that is new; `result` is kept up to date and stays true if this raises.

        Raises: WireError, RefusedError, ProtocolError, StoreError, TableError, Rejected. Whatever
        happens, what `result` counts as fetched is queued, and the rest is still at the server.
        """
        marks = Marks(self._account.name, self._store.mailboxes)
        fetched = Fetched(self._account, self._intake, "POP3", marks)
        if not self._only_counts:
            fetched.prepare()
        before = None
        while await self._visit(fetched, marks, result):
            # A server that lists again what it said it deleted would keep us for ever.
            if before is not None and result.in_mailbox >= before:
                break
            before = result.in_mailbox

    async def _visit(self, fetched: Fetched, marks: Marks, result: Poll) -> bool:
        """One session; True if another shall follow, because deletions are to be done for good."""
        servers, account = self._store.servers, self._account
        name = f"pop3 {account.server} {account.name} {account.tls}"
        before = await servers.recall(name)
        try:
            return await self._session(fetched, marks, result, before or KnownServer(), name)
        except _ChangedServer:
            # It hung up, perhaps on what was presumed of it: once more as with a stranger. If it
            # takes that, nothing is presumed of it again.
            stranger = KnownServer(insists=True)
            return await self._session(fetched, marks, result, stranger, name)

    async def _session(
        self, fetched: Fetched, marks: Marks, result: Poll, known: KnownServer, name: str
    ) -> bool:
        state = await self._store.mailboxes.state(self._account.name)
        await marks.load()
        listing = Listing(state, await self._may_compare(state, marks))
        stream = await self._account.open()
        dialogue = Dialogue(stream, self._account.timeout_seconds)
        opening = Opening(self._account, dialogue, known, listing.ask)
        visit = Visit(self._means, fetched, marks, result, dialogue, listing, state)
        try:
            try:
                found = await opening.log_in()
            except LineLost:
                if opening.is_presuming and dialogue.client.state is not State.TRANSACTION:
                    raise _ChangedServer from None
                raise
            finally:
                if opening.known != known:
                    await self._store.servers.remember(name, opening.known)
            await visit.choose(found)
            if not self._only_counts:
                await visit.fetch()
            await visit.leave()
        finally:
            visit.discard()
            stream.abort()
        return visit.comes_again

    async def _may_compare(self, state: MailboxState, marks: Marks) -> bool:
        """Is there nothing to do for what was there at the last visit?"""
        wishes, now = self._account.wishes, self._clock()
        if state.count < QUICK_FROM or state.wishes != repr(wishes) or not state.last_uid:
            return False
        if not 0 <= now - state.listed_at < WHOLE_AFTER_SECONDS:
            return False
        due = wishes.delete_after_days * 86400.0
        if due and now - marks.oldest >= due:
            return False
        offers = await self._store.mailboxes.offers(self._account.name)
        return all(one.decision == Decision.OFFERED for one in offers)


class _ChangedServer(Exception):
    """The server closed the line on what was presumed of it."""
