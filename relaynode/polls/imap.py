"""The IMAP source: one visit to one account, in as few flights as the server allows.

    greeting
    LOGIN, SELECT, UID FETCH of all sizes, COMPRESS      one write
    UID FETCH ... UID STORE, UID EXPUNGE ... LOGOUT      a window kept full

Not here: how the session begins (imap_login.py), what of a folder is wanted (imap_folder.py), how
it comes (imap_transfer.py), and what becomes of it at the server (imap_removal.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.imap.client import Client
from relaynode.imap.states import Command
from relaynode.polls.choice import Decision, Left
from relaynode.polls.fetched import Fetched
from relaynode.polls.imap_folder import Folder, FolderRefused
from relaynode.polls.imap_login import LoginSteps
from relaynode.polls.imap_removal import Removal
from relaynode.polls.imap_session import Session
from relaynode.polls.imap_transfer import Transfer
from relaynode.polls.marks import Marks
from relaynode.polls.notice import Notices
from relaynode.polls.oversized import Warnings
from relaynode.queue.servers import KnownServer
from relaynode.wire.meter import NO_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.account import Account
    from relaynode.polls.choice import Choice
    from relaynode.polls.poll import Poll
    from relaynode.queue.partials import Partials
    from relaynode.queue.store import Store
    from relaynode.sources.intake import Intake
    from relaynode.wire.meter import ByteCount

COMPRESS_BYTES = 16 * 1024
"""COMPRESS that was not asked for with the login costs a flight: for less it is not worth it."""


@dataclass(frozen=True, slots=True)
class ImapWishes:
    """What only IMAP can: several folders; `move_to`: where messages go instead of away."""

    folders: tuple[str, ...] = ("INBOX",)
    move_to: str = ""


class ImapPoller:
    """Visits one account. `clock`: epoch seconds. `on_progress`: called when figures change.

    `only_counts`: look, and fetch and delete nothing. `bytes_per_second`: of the line; 0 if that is
    not known. `count`: asked before a message is.
    """

    def __init__(
        self,
        account: Account,
        wishes: ImapWishes,
        store: Store,
        intake: Intake,
        partials: Partials,
        *,
        clock: Callable[[], float],
        on_progress: Callable[[Poll], None] = lambda poll: None,
        only_counts: bool = False,
        bytes_per_second: float = 0.0,
        count: ByteCount = NO_LIMIT,
    ) -> None:
        self._account = account
        self._wishes = wishes
        self._store = store
        self._intake = intake
        self._partials = partials
        self._clock = clock
        self._on_progress = on_progress
        self._only_counts = only_counts
        self._bytes_per_second = bytes_per_second
        self._count = count

    async def poll(self, result: Poll) -> None:
        """Fetch all that is new; `result` is kept up to date and stays true if this raises.

        Raises: WireError, RefusedError, ProtocolError, StoreError, TableError, Rejected. Whatever
        happens, what `result` counts as fetched is queued, and the rest is still at the server.
        """
        account = self._account
        marks = Marks(account.name, self._store.mailboxes)
        fetched = Fetched(account, self._intake, "IMAP", marks)
        if not self._only_counts:
            fetched.prepare()
        await marks.load()
        name = f"imap {account.server} {account.name} {account.tls}"
        known = await self._store.servers.recall(name) or KnownServer()
        stream = await account.open()
        session = Session(stream, account.timeout_seconds, Client(known.extensions))
        try:
            await self._visit(session, fetched, marks, result)
        except LineLost:
            if not session.said_bye:
                raise
        finally:
            result.problems += [f"{account.server} says: {text}" for text in session.alerts]
            stream.abort()
        shown = dict.fromkeys(sorted(session.client.capabilities or ()), "")
        if shown != dict(known.extensions):
            await self._store.servers.remember(name, replace(known, extensions=shown))

    async def _visit(self, session: Session, fetched: Fetched, marks: Marks, result: Poll) -> None:
        first, *others = self._wishes.folders
        begun: list[Folder] = []

        def and_then() -> None:
            folder = Folder(first, session, marks)
            begun[:] = [folder]
            folder.ask()
            if session.client.can("COMPRESS=DEFLATE"):
                session.client.compress()

        await LoginSteps(self._account, session, and_then).run()
        visit = _Visit(self, session, fetched, marks, result)
        await visit.folder(begun[0], is_last=not others)
        for place, name in enumerate(others, 1):
            await marks.load()
            folder = Folder(name, session, marks)
            folder.ask()
            await visit.folder(folder, is_last=place == len(others))
        if not self._only_counts:
            self._partials.sweep(self._account.name, visit.large)
            letters = Warnings(
                self._account, self._intake, self._store.mailboxes, fetched.addressed
            )
            await letters.tell(visit.oversized, self._clock())


@dataclass(slots=True)
class _Visit:
    """The folders of one session, one after the other."""

    poller: ImapPoller
    session: Session
    fetched: Fetched
    marks: Marks
    result: Poll
    large: list[tuple[str, int]] = field(default_factory=list)
    oversized: list[int] = field(default_factory=list)

    async def folder(self, folder: Folder, *, is_last: bool) -> None:
        """Fetch what is new in it. One that cannot be opened is a problem, and not the end."""
        try:
            await folder.learn()
        except FolderRefused as error:
            self.result.problems.append(str(error))
            await self._leave(is_last=is_last)
            return
        poller = self.poller
        if not poller._only_counts:
            await self._note_listed(folder)
        offers = await poller._store.mailboxes.offers(poller._account.name)
        decisions = {one.uid: Decision(one.decision) for one in offers}
        choice = folder.choice(poller._account.wishes, poller._clock(), decisions)
        self._tell(folder, choice)
        self.oversized += [one.size_bytes for one in choice.left_for(Left.OVERSIZED)]
        if poller._only_counts:
            await self._leave(is_last=is_last)
        else:
            await self._transfer(folder, choice, is_last=is_last)

    async def _transfer(self, folder: Folder, choice: Choice[int], *, is_last: bool) -> None:
        poller, client = self.poller, self.session.client
        transfer = Transfer(
            folder,
            self.fetched,
            poller._partials,
            self.result,
            lambda: poller._on_progress(self.result),
            Removal(client, poller._wishes.move_to, bool(folder.doomed)),
            Notices(
                poller._account,
                poller._intake,
                self.fetched.addressed,
                poller._clock,
                poller._bytes_per_second,
            ),
            is_last=is_last,
            count=poller._count,
        )
        transfer.plan(choice)
        self.large += [(folder.mark_of(one.key), one.size_bytes) for one in transfer.large]
        is_late = client.can("COMPRESS=DEFLATE") and not client.has_asked(Command.COMPRESS)
        if is_late and choice.fetch_bytes > COMPRESS_BYTES:
            client.compress()
        try:
            await transfer.run()
        finally:
            transfer.discard()
            self.result.deleted += len(transfer.removal.gone)
        gone = [folder.mark_of(uid) for uid in transfer.removal.gone]
        await self.marks.note_deleted(gone, poller._clock())

    async def _leave(self, *, is_last: bool) -> None:
        if is_last:
            await self.session.answer(self.session.client.logout())

    async def _note_listed(self, folder: Folder) -> None:
        """Of this folder all is known now; what was known of others stays."""
        account = self.poller._account.name
        elsewhere = {
            uid
            for uid, mark in self.marks.all().items()
            if mark.gone_at is None and not folder.is_own(uid)
        }
        offers = await self.poller._store.mailboxes.offers(account)
        elsewhere |= {one.uid for one in offers if not folder.is_own(one.uid)}
        await self.marks.note_listed(folder.listed() | elsewhere, self.poller._clock())

    def _tell(self, folder: Folder, choice: Choice[int]) -> None:
        result, server = self.result, self.poller._account.server
        result.waiting += len(choice.fetch)
        result.waiting_bytes += choice.fetch_bytes
        result.in_mailbox += len(folder.listed())
        for _, why in choice.left:
            result.left[str(why)] = result.left.get(str(why), 0) + 1
        for one in choice.left_for(Left.UNFIT):
            text = f"{one.size_bytes} bytes are too many for our queue"
            result.problems.append(f"message {one.key} of {folder.name} stays at {server}: {text}")
        self.poller._on_progress(result)
