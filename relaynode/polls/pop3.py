"""The POP3 source: one visit to one account, kept full.

The order that nothing may change: a message is committed together with its mark on the seen-list;
then it is deleted at the server; the mark is dropped when the mailbox no longer holds the message.
So a cut anywhere costs at most the message it cuts, and none is queued twice: one whose DELE was
not confirmed is known by its unique-id at the next visit.

RETR and DELE are pipelined when the server allows it (RFC 2449 section 6.6). What was asked for
and has not crossed the line yet costs nothing when the line drops, so the window only has to be
wide enough.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode import sasl
from relaynode.errors import (
    LineLost,
    LoginRefused,
    RefusedError,
    RemoteProtocolError,
    TlsFailed,
)
from relaynode.mail.lines import ToCrlf
from relaynode.mail.status import temporary
from relaynode.polls.fetched import Fetched
from relaynode.pop3 import events as pop3
from relaynode.pop3.client import Client
from relaynode.pop3.states import State
from relaynode.sources.intake import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.account import Account
    from relaynode.polls.poll import Poll
    from relaynode.queue.store import Store
    from relaynode.sources.intake import Collector, Intake
    from relaynode.wire.stream import Stream

WINDOW_BYTES = 64 * 1024
"""Content asked for ahead: fills a line of 64 KiB per round trip."""

MIN_WINDOW_MESSAGES = 4
MAX_WINDOW_COMMANDS = 100
"""Servers read commands into a buffer; 100 RETR fit the smallest."""


class Pop3Poller:
    """Visits one account. `on_progress` is called whenever the poll's figures have changed."""

    def __init__(
        self,
        account: Account,
        store: Store,
        intake: Intake,
        *,
        on_progress: Callable[[Poll], None] = lambda poll: None,
    ) -> None:
        self._account = account
        self._store = store
        self._intake = intake
        self._on_progress = on_progress

    async def poll(self, result: Poll) -> None:
        """Fetch all that is new; `result` is kept up to date and stays true if this raises.

        Raises: WireError, RefusedError, ProtocolError, StoreError, TableError, Rejected. Whatever
        happens, what `result` counts as fetched is queued, and the rest is still at the server.
        """
        fetched = Fetched(self._account, self._intake, "POP3")
        fetched.prepare()
        stream = await self._account.open()
        visit = _Visit(self._account, self._store, fetched, stream, result, self._on_progress)
        try:
            await visit.log_in()
            await visit.choose()
            await visit.fetch()
            await visit.leave()
        finally:
            visit.discard()
            stream.abort()


@dataclass(slots=True)
class _Visit:
    account: Account
    store: Store
    fetched: Fetched
    stream: Stream
    result: Poll
    on_progress: Callable[[Poll], None]
    client: Client = field(default_factory=Client)
    uids: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    wanted: deque[int] = field(default_factory=deque)
    stale: deque[int] = field(default_factory=deque)
    asked: dict[int, int] = field(default_factory=dict)
    collector: Collector | None = None
    line_ends: ToCrlf = field(default_factory=ToCrlf)

    # --- talking

    async def _send(self) -> None:
        await self.stream.write(self.client.data_to_send(), self.account.timeout_seconds)

    async def _receive(self) -> list[pop3.Event]:
        data = await self.stream.read(self.account.timeout_seconds)
        if not data:
            self.client.peer_closed()
            raise LineLost(f"{self.stream.peer}: closed the connection")
        return self.client.receive(data)

    async def _until(self, wanted: type[pop3.Event]) -> list[pop3.Event]:
        """All events up to the wanted one. Raises: RefusedError if the server says no."""
        found: list[pop3.Event] = []
        while True:
            await self._send()
            for event in await self._receive():
                if isinstance(event, pop3.Refused):
                    is_login = event.command in ("USER", "PASS", "AUTH")
                    kind = LoginRefused if is_login else RefusedError
                    raise kind(event.status, f"{self.stream.peer}: {event.command} refused")
                found.append(event)
            if any(isinstance(event, wanted) for event in found):
                return found

    # --- logging in

    async def log_in(self) -> None:
        """Greeting, CAPA, STLS, and the login with the listings in one flight if allowed."""
        if self.account.tls == "tls":
            await self._start_tls()
        await self._until(pop3.Greeting)
        await self._ask_capabilities()
        if self.account.tls == "starttls":
            if "STLS" not in self.client.capabilities:
                raise TlsFailed(f'{self.stream.peer}: offers no STLS; tls = "none" goes without')
            self.client.stls()
            await self._until(pop3.TlsReady)
            await self._start_tls()
            self.client.after_tls()
            await self._ask_capabilities()
        await self._log_in()

    async def _log_in(self) -> None:
        stream = self.stream
        host, _, address = stream.peer.partition("[")
        credentials = await self.account.login.credentials(
            host.strip() or self.account.server, address.removesuffix("]")
        )
        assert credentials is not None  # an account has a user
        try:
            await self._log_in_with(credentials)
        except LoginRefused as error:
            newer = await self.account.login.renewed(credentials)
            if newer is None or newer.token == credentials.token:
                raise
            if self.client.state is not State.AUTHORIZATION:
                raise error from None
            await self._log_in_with(newer)

    async def _log_in_with(self, credentials: sasl.Credentials) -> None:
        mechanism = sasl.choose(
            self.client.sasl_mechanisms,
            credentials,
            is_private=self.account.tls != "none",
            host=self.account.server,
            service="pop",
        )
        if not self._takes_user(credentials, mechanism):
            if mechanism is None:
                raise self._no_way(credentials)
            await self._play(mechanism)
            return
        can_pipeline = self.client.can_pipeline
        password = credentials.password or ""
        self.client.login_user(credentials.user, password, pipelined=can_pipeline)
        if can_pipeline:
            self._ask_listings()
            return
        await self._until(pop3.LoggedIn)

    async def _play(self, mechanism: sasl.Mechanism) -> None:
        self.client.login_sasl(mechanism)
        try:
            await self._until(pop3.LoggedIn)
        except LoginRefused as error:
            if not mechanism.told:
                raise
            what = f"{self.stream.peer}: {mechanism.name} says {mechanism.told}: AUTH refused"
            raise LoginRefused(error.status, what) from None

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
        return "USER" in self.client.capabilities and shows_anyhow

    def _no_way(self, credentials: sasl.Credentials) -> LoginRefused:
        offered = " ".join(sorted(self.client.sasl_mechanisms)) or "nothing"
        only = f", auth allows {' '.join(credentials.mechanisms)}" if credentials.mechanisms else ""
        text = f"no way to log in: the server offers {offered}{only}"
        return LoginRefused(temporary(text, "4.7.4", 454), self.stream.peer)

    async def _start_tls(self) -> None:
        assert self.account.tls_context is not None
        context = self.account.tls_context()
        await self.stream.start_tls(context, self.account.server, self.account.timeout_seconds)

    async def _ask_capabilities(self) -> None:
        self.client.capa()
        await self._until(pop3.Capabilities)

    def _ask_listings(self) -> None:
        self.client.uidl()
        self.client.list()

    # --- choosing

    async def choose(self) -> None:
        """Learn what is there, and sort it into new messages and ones that are queued already."""
        if self.client.can_pipeline:
            if not self.client.outstanding:
                self._ask_listings()
            self._note_listings(await self._until(pop3.ListEnd))
        else:
            self.client.uidl()
            self._note_listings(await self._until(pop3.UidlEnd))
            self.client.list()
            self._note_listings(await self._until(pop3.ListEnd))
        self.marked = await self.store.seen(self.account.name)
        await self._forget(self.marked - set(self.uids.values()))
        # RFC 1939 lets two messages share a unique-id if they are the same; a server that gives
        # it to different ones must not make us delete what we never read.
        counts = Counter(self.uids.values())
        self.repeated = {uid for uid, count in counts.items() if count > 1}
        for number, uid in self.uids.items():
            if uid in self.marked and uid not in self.repeated:
                self.stale.append(number)
            elif self.sizes.get(number, 0) > self.account.wishes.max_message_bytes:
                self._problem(number, f"{self.sizes[number]} bytes are too many for our queue")
            else:
                self.wanted.append(number)
        if self.account.keep:
            self.stale.clear()
        self.result.waiting = len(self.wanted)
        self.result.waiting_bytes = sum(self.sizes.get(number, 0) for number in self.wanted)
        self.on_progress(self.result)

    def _note_listings(self, found: list[pop3.Event]) -> None:
        for event in found:
            if isinstance(event, pop3.UidlItem):
                self.uids[event.number] = event.uid
            elif isinstance(event, pop3.ListItem):
                self.sizes[event.number] = event.size

    async def _forget(self, uids: set[str]) -> None:
        if uids:
            await self.store.forget_seen(self.account.name, uids)

    # --- fetching

    async def fetch(self) -> None:
        """Fetch, commit, delete, until nothing is left to ask for and nothing is owed."""
        while self.stale or self.wanted or self.client.outstanding:
            self._ask()
            await self._send()
            for event in await self._receive():
                await self._act_on(event)

    def _ask(self) -> None:
        limit = MAX_WINDOW_COMMANDS if self.client.can_pipeline else 1
        while self.stale and self.client.outstanding < limit:
            self.client.dele(self.stale.popleft())
        while self.wanted and self.client.outstanding < limit and self._has_room():
            number = self.wanted.popleft()
            self.asked[number] = self.sizes.get(number, 0)
            self.client.retr(number)

    def _has_room(self) -> bool:
        return len(self.asked) < MIN_WINDOW_MESSAGES or sum(self.asked.values()) < WINDOW_BYTES

    async def _act_on(self, event: pop3.Event) -> None:
        match event:
            case pop3.MessageStart():
                self.collector, self.line_ends = self.fetched.collector(), ToCrlf()
            case pop3.MessageData():
                self._take(event)
            case pop3.MessageEnd():
                del self.asked[event.number]
                await self._commit(event.number)
                self.on_progress(self.result)
            case pop3.Deleted():
                self.result.deleted += 1
            case pop3.Refused():
                if event.command == "RETR" and event.number is not None:
                    self.asked.pop(event.number, None)
                if event.number is not None:
                    self._problem(event.number, f"{event.command} refused: {event.status}")

    def _take(self, event: pop3.MessageData) -> None:
        assert self.collector is not None
        self.collector.write(self.line_ends.feed(event.data))
        if self.collector.size_bytes > self.account.wishes.max_message_bytes:
            limit = self.account.wishes.max_message_bytes
            raise RemoteProtocolError(
                f"{self.stream.peer}: message {event.number}, announced with"
                f" {self.sizes.get(event.number, 0)} bytes, has more than {limit}"
            )

    async def _commit(self, number: int) -> None:
        """Queue the message and mark it in one transaction; only then may it be deleted."""
        collector, self.collector = self.collector, None
        assert collector is not None
        uid = self.uids[number]
        try:
            await self.fetched.queue(
                collector, uid=None if uid in self.repeated else uid, peer=self.stream.peer
            )
        except Rejected as error:
            self._problem(number, str(error.status))
            return
        self.result.fetched += 1
        self.result.fetched_bytes += collector.size_bytes
        if not self.account.keep:
            self.client.dele(number)

    def _problem(self, number: int, text: str) -> None:
        """A message that stays at the server, and why."""
        self.result.problems.append(f"message {number} stays at {self.account.server}: {text}")

    # --- leaving

    async def leave(self) -> None:
        """QUIT: what was marked is deleted now (RFC 1939 section 6)."""
        self.client.quit()
        await self._until(pop3.Bye)

    def discard(self) -> None:
        """Forget a message that did not come whole."""
        if self.collector is not None:
            self.collector.discard()
            self.collector = None
