"""The letter about mail that is larger than an account's limit_bytes, and so stays where it is.

It comes at most once an interval, for all such mail together. When it came last is remembered with
the account; a crash between the letter and that costs a second letter, and nothing else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.mail.envelope import NULL_PATH, Envelope
from relaynode.queue.finish import finish
from relaynode.sources.intake import Arrival, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.polls.account import Account
    from relaynode.polls.fetched import Addressed
    from relaynode.queue.mailboxes import Mailboxes
    from relaynode.sources.intake import Intake

log = logging.getLogger("relaynode.polls")

SHOWN_SIZES = 20
"""Of more messages only the number and the sum are told."""


@dataclass(frozen=True, slots=True)
class Warnings:
    """The letters of one account. `whose`: whom mail with a header is for."""

    account: Account
    intake: Intake
    mailboxes: Mailboxes
    whose: Callable[[bytes], Addressed]

    async def tell(self, sizes: Sequence[int], now: float) -> bool:
        """Queue a letter about messages of these sizes, in bytes, if it is time for one. `now`:
        epoch seconds. Raises: StoreError, TableError.
        """
        interval = self.account.warn_hours * 3600.0
        if not sizes or not interval:
            return False
        state = await self.mailboxes.state(self.account.name)
        # A clock that was set back must not silence it.
        if 0 <= now - state.warned_at < interval:
            return False
        try:
            await self._queue(sizes)
        except Rejected as error:
            log.warning("%s: nobody can be told of large mail: %s", self.account.name, error)
        await self.mailboxes.remember(self.account.name, replace(state, warned_at=now))
        return True

    async def _queue(self, sizes: Sequence[int]) -> None:
        addressed = self.whose(b"")
        collector = self.intake.collector()
        collector.write(letter(self.account, addressed.given, sizes))
        arrival = Arrival("localhost", "", "local relaynode", header_sender="MAILER-DAEMON")
        envelope = Envelope(NULL_PATH, addressed.recipients)
        await finish(self.intake.accept(collector, envelope, arrival, given=addressed.given))


def letter(account: Account, given: Sequence[str], sizes: Sequence[int]) -> bytes:
    """The letter, CRLF wire form. Date, From and Message-ID are added at intake."""
    several = len(sizes) > 1
    lines = [
        f"To: {', '.join(given)}",
        f"Subject: {len(sizes)} large message{'s' if several else ''} not fetched",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"In the mailbox of account {account.name},",
        f"{len(sizes)} message{'s are' if several else ' is'} larger than"
        f" {account.wishes.limit_bytes} bytes ({sum(sizes)} bytes in all):",
        "",
        *(f"    {size:>12} bytes" for size in sizes[:SHOWN_SIZES]),
        *(["    ..."] if len(sizes) > SHOWN_SIZES else []),
        "",
        f"They stay at {account.server}." if several else f"It stays at {account.server}.",
        "limit_bytes in the settings of the account is the limit.",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
