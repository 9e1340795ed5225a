"""One session with a POP3 server behind its login: what is there is sorted, fetched, deleted.

RETR and DELE are pipelined when the server allows it (RFC 2449 section 6.6). What was asked for
and has not crossed the line yet costs nothing when the line drops, so the window only has to be
wide enough. Not here: the login (pop3_opening.py), what is there (pop3_listing.py), what of it is
wanted (choice.py).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.mail.lines import ToCrlf
from relaynode.polls.choice import Choice, Decision, Left, Waiting, choose
from relaynode.polls.fetched import Fetched
from relaynode.polls.marks import Marks
from relaynode.polls.notice import Notices
from relaynode.polls.oversized import Warnings
from relaynode.polls.pop3_dialogue import Dialogue
from relaynode.polls.pop3_listing import Listing
from relaynode.pop3 import events as pop3
from relaynode.queue.mailboxes import MailboxState
from relaynode.sources.intake import Rejected
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.account import Account
    from relaynode.polls.poll import Poll
    from relaynode.queue.store import Store
    from relaynode.sources.intake import Collector, Intake

WINDOW_BYTES = 64 * 1024
"""Content asked for ahead: fills a line of 64 KiB per round trip."""

MIN_WINDOW_MESSAGES = 4
MAX_WINDOW_COMMANDS = 100
"""Servers read commands into a buffer; 100 RETR fit the smallest."""

MAX_HEADER_BYTES = 256 * 1024
"""What TOP may bring; a header that is longer than this is none."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a visit is made with. `clock`: epoch seconds; `monotonic`: seconds for measuring;
    `bytes_per_second`: of the line; 0 if that is not known. `count`: asked before a message is."""

    account: Account
    store: Store
    intake: Intake
    on_progress: Callable[[Poll], None]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    only_counts: bool = False
    bytes_per_second: float = 0.0
    count: ByteCount = field(default_factory=ByteCount)


@dataclass(slots=True)
class Visit:
    """One session. `state`: how the last visit left the account. Call `choose`, `fetch`, `leave`,
    and `discard` whatever happens; `comes_again`: another session shall follow."""

    means: Means
    fetched: Fetched
    marks: Marks
    result: Poll
    dialogue: Dialogue
    listing: Listing
    state: MailboxState
    nameless: set[int] = field(default_factory=set)
    choice: Choice[int] = field(default_factory=Choice)
    stale: deque[int] = field(default_factory=deque)
    headers: deque[int] = field(default_factory=deque)
    wanted: deque[int] = field(default_factory=deque)
    asked: dict[int, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)
    marked_as: dict[int, str] = field(default_factory=dict)
    collector: Collector | None = None
    line_ends: ToCrlf = field(default_factory=ToCrlf)
    header: bytearray | None = None
    dele_sent: int = 0
    comes_again: bool = False
    has_trouble: bool = False
    content_bytes: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def account(self) -> Account:
        return self.means.account

    # --- choosing

    async def choose(self, found: list[pop3.Event]) -> None:
        """Learn what is there, and sort it: what is fetched, deleted, offered, left."""
        listing, now = self.listing, self.means.clock()
        await listing.learn(self.dialogue, found)
        if listing.is_whole and not self.means.only_counts:
            await self.marks.note_listed({*listing.uids.values()}, now)
        # RFC 1939 lets two messages share a unique-id if they are the same; a server that gives
        # it to different ones must not make us delete what we never read.
        counts = Counter(listing.uids.values())
        self.nameless = {
            number for number in listing.numbers if counts[listing.uids.get(number, "")] != 1
        }
        offers = await self.means.store.mailboxes.offers(self.account.name)
        decisions = {one.uid: Decision(one.decision) for one in offers}
        waiting = [self._waiting(number, decisions) for number in listing.numbers]
        self.choice = choose(waiting, self.account.wishes, now)
        self._sort(self.choice)
        await self._tell_of_oversized(now)
        self.means.on_progress(self.result)

    async def _tell_of_oversized(self, now: float) -> None:
        means = self.means
        sizes = [one.size_bytes for one in self.choice.left_for(Left.OVERSIZED)]
        letters = Warnings(
            self.account, means.intake, means.store.mailboxes, self.fetched.addressed
        )
        if not means.only_counts and await letters.tell(sizes, now):
            self.state = replace(self.state, warned_at=now)

    def _waiting(self, number: int, decisions: dict[str, Decision]) -> Waiting[int]:
        size = self.listing.sizes.get(number, 0)
        if number in self.nameless:
            return Waiting(number, size)
        uid = self.listing.uids[number]
        return Waiting(number, size, self.marks.taken_at(uid, size), decision=decisions.get(uid))

    def _sort(self, choice: Choice[int]) -> None:
        # What has no name cannot be asked about later: it is fetched whole.
        named = [one for one in choice.headers if one.key not in self.nameless]
        choice.fetch += [one for one in choice.headers if one.key in self.nameless]
        self.stale = deque(one.key for one in choice.delete)
        self.headers = deque(one.key for one in named)
        self.wanted = deque(one.key for one in choice.fetch)
        for one in choice.left_for(Left.UNFIT):
            self._problem(one.key, f"{one.size_bytes} bytes are too many for our queue")
        result = self.result
        result.waiting = result.fetched + len(choice.fetch)
        result.waiting_bytes = result.fetched_bytes + choice.fetch_bytes
        result.in_mailbox = self.listing.count
        result.mailbox_bytes = self.listing.total_bytes
        result.left = dict(Counter(str(why) for _, why in choice.left))

    # --- fetching

    async def fetch(self) -> None:
        """Fetch, commit, delete, until nothing is left to ask for and nothing is owed."""
        self.began_at = self.ended_at = self.means.monotonic()
        is_cut = False
        while self._ask() or self.dialogue.client.outstanding:
            try:
                if not is_cut:
                    await self.dialogue.send()
            except LineLost:
                is_cut = True  # what has crossed the line already is still taken
            for event in await self.dialogue.receive():
                await self._act_on(event)
            if self.dialogue.can_pipeline and not (self.asked or self._ask()):
                break  # QUIT goes along with the last DELE

    def _ask(self) -> bool:
        """Queue what there is room for; is anything left to be done that nobody waits for?"""
        client = self.dialogue.client
        limit = MAX_WINDOW_COMMANDS if self.dialogue.can_pipeline else 1
        while self.stale and client.outstanding < limit and not self._is_full():
            self._dele(self.stale.popleft())
        while self.headers and client.outstanding < limit and self._has_room():
            number = self.headers.popleft()
            self.asked[number] = 0
            client.top(number, 0)
        while (
            self.wanted and client.outstanding < limit and self._has_room() and not self._is_full()
        ):
            number = self.wanted.popleft()
            size_bytes = self.listing.sizes.get(number, 0)
            if not self.means.count.takes(size_bytes, is_inward=True):
                self._leave(number, Left.BUDGET)
                continue
            self.asked[number] = size_bytes
            client.retr(number)
        has_more = bool(self.stale or self.wanted)
        self.comes_again = has_more and self._is_full()
        return (has_more and not self.comes_again) or bool(self.headers)

    def _leave(self, number: int, why: Left) -> None:
        """It stays there after all."""
        self.means.count.passed_over(1)
        self.choice.left.append((Waiting(number, self.listing.sizes.get(number, 0)), why))
        self.result.left[why] = self.result.left.get(why, 0) + 1

    def _is_over(self, number: int) -> None:
        """It is asked for no more."""
        was_asked = self.asked.pop(number, None) is not None
        if was_asked and not self._is_header(number):
            self.means.count.ended(is_inward=True)

    def _has_room(self) -> bool:
        return len(self.asked) < MIN_WINDOW_MESSAGES or sum(self.asked.values()) < WINDOW_BYTES

    def _is_full(self) -> bool:
        """Is it time to have deletions done for good?"""
        coming = 0 if self.account.keep else len(self.asked)
        return 0 < self.account.expunge <= self.dele_sent + coming

    def _dele(self, number: int) -> None:
        self.dialogue.client.dele(number)
        self.dele_sent += 1

    async def _act_on(self, event: pop3.Event) -> None:
        match event:
            case pop3.MessageStart():
                self._begin(event.number)
            case pop3.MessageData():
                self._take(event)
            case pop3.MessageEnd():
                await self._end(event.number)
                self.means.on_progress(self.result)
            case pop3.Deleted():
                self.result.deleted += 1
                self.deleted.append(event.number)
            case pop3.Refused():
                await self._refused(event)

    def _begin(self, number: int) -> None:
        if self._is_header(number):
            self.header = bytearray()
        else:
            self.collector, self.line_ends = self.fetched.collector(), ToCrlf()

    def _uid(self, number: int) -> str:
        return self.listing.uids.get(number, "")

    def _is_header(self, number: int) -> bool:
        return any(one.key == number for one in self.choice.headers) and number not in self.nameless

    def _take(self, event: pop3.MessageData) -> None:
        if self.header is not None:
            self.header += event.data
            if len(self.header) > MAX_HEADER_BYTES:
                raise RemoteProtocolError(f"{self.dialogue.peer}: TOP {event.number} has no end")
            return
        assert self.collector is not None
        self.collector.write(self.line_ends.feed(event.data))
        self.content_bytes += len(event.data)
        if self.collector.size_bytes > self.account.wishes.max_message_bytes:
            limit = self.account.wishes.max_message_bytes
            raise RemoteProtocolError(
                f"{self.dialogue.peer}: message {event.number}, announced with"
                f" {self.listing.sizes.get(event.number, 0)} bytes, has more than {limit}"
            )

    async def _end(self, number: int) -> None:
        self._is_over(number)
        if self.header is not None:
            header, self.header = bytes(self.header), None
            await self._offer(number, header)
        else:
            await self._commit(number)
            self.ended_at = self.means.monotonic()

    async def _commit(self, number: int) -> None:
        """Queue the message and mark it in one transaction; only then may it be deleted."""
        collector, self.collector = self.collector, None
        assert collector is not None
        size_bytes = collector.size_bytes
        try:
            is_new = await self.fetched.queue(
                collector,
                uid=None if number in self.nameless else self.listing.uids[number],
                peer=self.dialogue.peer,
                listed_bytes=self.listing.sizes.get(number, 0),
            )
        except Rejected as error:
            self._problem(number, str(error.status))
            return
        self.marked_as[number] = self.fetched.marked_uid
        if is_new:
            self.result.fetched += 1
            self.result.fetched_bytes += size_bytes
        else:
            self.result.known_again += 1
        if not self.account.keep:
            self._dele(number)

    async def _offer(self, number: int, header: bytes) -> None:
        means = self.means
        rate = means.bytes_per_second or self.state.bytes_per_second
        notices = Notices(self.account, means.intake, self.fetched.addressed, means.clock, rate)
        try:
            await notices.offer(
                self.listing.uids[number], self.listing.sizes.get(number, 0), header
            )
        except Rejected as error:
            self._problem(number, str(error.status))
            return
        self.result.offered += 1

    async def _refused(self, event: pop3.Refused) -> None:
        if event.number is None:
            return
        if event.command != "DELE":
            self._is_over(event.number)
        if event.command == "TOP" and not event.status.text.startswith("["):
            await self._offer(event.number, b"")  # it has no TOP: tell of the size at least
            return
        self._problem(event.number, f"{event.command} refused: {event.status}")

    def _problem(self, number: int, text: str) -> None:
        """A message that stays at the server, and why."""
        self.has_trouble = True
        self.result.problems.append(f"message {number} stays at {self.account.server}: {text}")

    # --- leaving

    async def leave(self) -> None:
        """QUIT: what was marked is deleted now (RFC 1939 section 6)."""
        self.dialogue.client.quit()
        if self.dele_sent:
            for event in await self.dialogue.all_owed():
                if isinstance(event, pop3.Refused) and event.number is None:
                    raise self.dialogue.refusal(event)  # of QUIT
                await self._act_on(event)
            self.dialogue.stream.abort()
            deleted = [self.marked_as.get(number) or self._uid(number) for number in self.deleted]
            await self.marks.note_deleted(deleted, self.means.clock())
        else:
            # Nothing hangs on the answer: it is not worth a round trip.
            await self.dialogue.send()
            await self.dialogue.stream.close()
        if not self.means.only_counts:
            await self._remember()

    async def _remember(self) -> None:
        seconds = self.ended_at - self.began_at
        state = self._state_now()
        if seconds > 0 and self.content_bytes >= WINDOW_BYTES:
            state = replace(state, bytes_per_second=self.content_bytes / seconds)
        if state != self.state:
            await self.means.store.mailboxes.remember(self.account.name, state)

    def _state_now(self) -> MailboxState:
        """What the next visit may compare with, if nothing is left to do for what is there."""
        wishes, listing = self.account.wishes, self.listing
        has_more_to_do = (
            self.has_trouble
            or self.dele_sent
            or self.nameless
            or wishes.fetch_all
            or wishes.flush
            or self.choice.left_for(Left.LATER)
            or self.choice.left_for(Left.BUDGET)
        )
        if has_more_to_do or not wishes.keep:
            return replace(self.state, count=0, total_bytes=0, last_uid="", listed_at=0.0)
        return replace(
            self.state,
            count=listing.count,
            total_bytes=listing.total_bytes,
            last_uid=listing.last_uid,
            wishes=repr(wishes),
            listed_at=self.means.clock() if listing.is_whole else self.state.listed_at,
        )

    def discard(self) -> None:
        """Forget what did not come whole."""
        for number in list(self.asked):
            self._is_over(number)
        if self.collector is not None:
            self.collector.discard()
            self.collector = None
