"""What a POP3 mailbox holds: all of it listed, or only what has changed since the last visit.

UIDL and LIST of 10,000 kept messages are 350,000 bytes. A mailbox keeps its messages in the order
in which they came, so one comparison tells that nothing has changed in front of the last message
that was known: its number still has its unique-id, and the sizes add up. Then only what is behind
it is listed. Whatever does not agree leads to the whole listing in the same visit, and so does the
first visit of a day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.pop3 import events as pop3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.polls.pop3_dialogue import Dialogue
    from relaynode.pop3.client import Client
    from relaynode.queue.mailboxes import MailboxState

QUICK_FROM = 100
"""Messages. Listing fewer costs less than a round trip that a comparison may cost."""

MAX_NEW = 200
"""Messages that are asked for one by one, before the whole listing is cheaper."""

WHOLE_AFTER_SECONDS = 86400.0


@dataclass(slots=True)
class Listing:
    """What is in the mailbox. `before`: how the last visit left it. `is_quick`: try to compare.

    `is_whole`: `uids` and `sizes` hold all there is, not only what is new. A message that is only
    in `sizes` has no unique-id.
    """

    before: MailboxState
    is_quick: bool = False
    uids: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    stat: pop3.Stat | None = None
    is_whole: bool = True
    _is_done: bool = False
    _is_refused: bool = False

    def ask(self, client: Client) -> None:
        """Queue the first question."""
        if self.is_quick:
            client.stat()
            client.uidl(self.before.count)
        else:
            client.uidl()
            client.list()

    async def learn(self, dialogue: Dialogue, found: Iterable[pop3.Event]) -> None:
        """Learn what is there. `found`: what came with the login. Raises: as the dialogue."""
        self._note(dialogue, found)
        if dialogue.client.outstanding:
            self._note(dialogue, await dialogue.all_owed())
        elif not self._has_asked:
            await self._ask_now(dialogue)
        if self.is_quick and not await self._has_compared(dialogue):
            self.is_quick = False
            self.uids, self.sizes = {}, {}
            await self._ask_now(dialogue)
        self.is_whole = not self.is_quick

    @property
    def _has_asked(self) -> bool:
        return bool(self.uids or self.sizes or self.stat or self._is_done)

    async def _ask_now(self, dialogue: Dialogue) -> None:
        client = dialogue.client
        if dialogue.can_pipeline:
            self.ask(client)
            self._note(dialogue, await dialogue.all_owed())
            return
        questions = (
            (client.stat, lambda: client.uidl(self.before.count))
            if self.is_quick
            else (client.uidl, client.list)
        )
        for question in questions:
            question()
            self._note(dialogue, await dialogue.all_owed())

    def _note(self, dialogue: Dialogue, found: Iterable[pop3.Event]) -> None:
        for event in found:
            match event:
                case pop3.UidlItem():
                    self.uids[event.number] = event.uid
                case pop3.ListItem():
                    self.sizes[event.number] = event.size
                case pop3.ListEnd():
                    self._is_done = True
                case pop3.Stat():
                    self.stat = event
                case pop3.Refused() if event.command == "UIDL" and not _is_coded(event):
                    self._is_refused = True  # it has no unique-ids, or not this message any more
                case pop3.Refused() if self.is_quick and not _is_coded(event):
                    self._is_refused = True
                case pop3.Refused():
                    raise dialogue.refusal(event)

    # --- comparing

    async def _has_compared(self, dialogue: Dialogue) -> bool:
        """Is all as it was, but for what is behind the last message? That is listed then."""
        before, stat = self.before, self.stat
        if self._is_refused or stat is None or self.uids != {before.count: before.last_uid}:
            self._is_refused = False
            return False
        new = range(before.count + 1, stat.count + 1)
        if len(new) > MAX_NEW or stat.count < before.count:
            return False
        self.uids = {}
        await self._list_each(dialogue, new)
        is_sum = before.total_bytes + sum(self.sizes.values()) == stat.size
        return is_sum and len(self.uids) == len(self.sizes) == len(new) and not self._is_refused

    async def _list_each(self, dialogue: Dialogue, numbers: Iterable[int]) -> None:
        for number in numbers:
            dialogue.client.uidl(number)
            if not dialogue.can_pipeline:
                self._note(dialogue, await dialogue.all_owed())
            dialogue.client.list(number)
            if not dialogue.can_pipeline:
                self._note(dialogue, await dialogue.all_owed())
        if dialogue.client.outstanding:
            self._note(dialogue, await dialogue.all_owed())

    # --- for the next visit

    @property
    def count(self) -> int:
        """How many messages there are."""
        if self.is_whole:
            return max([0, *self.uids, *self.sizes])
        return self.before.count + len(self.uids)

    @property
    def total_bytes(self) -> int:
        """Their size, as the server has it."""
        listed = sum(self.sizes.values())
        return listed if self.is_whole else self.before.total_bytes + listed

    @property
    def last_uid(self) -> str:
        """The unique-id of the last one; "" if it has none."""
        return self.uids.get(self.count, "") if self.uids or self.is_whole else self.before.last_uid

    @property
    def numbers(self) -> list[int]:
        """The messages that are listed. Raises: RemoteProtocolError."""
        numbers = sorted({*self.uids, *self.sizes})
        if self.uids and self.sizes and not {*self.uids} & {*self.sizes}:
            raise RemoteProtocolError("the server's UIDL and LIST are about different messages")
        return numbers


def _is_coded(event: pop3.Refused) -> bool:
    """Does the server say why (RFC 2449 section 8)? Then it means this visit, not the command."""
    return event.status.text.startswith("[")
