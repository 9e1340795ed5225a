"""The notice of a large message of which only the header came, whatever the protocol.

It is queued in the transaction that writes the offer down, so nobody is told twice. Pure but for
the queueing, which `Notices` does.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING

from relaynode.mail.dsn import encoded_words
from relaynode.mail.envelope import NULL_PATH, Envelope
from relaynode.mail.header import find_header_end, first_value
from relaynode.polls.choice import Decision
from relaynode.queue.finish import finish
from relaynode.queue.model import Offer
from relaynode.sources.intake import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.polls.account import Account
    from relaynode.polls.fetched import Addressed
    from relaynode.sources.intake import Intake

MAX_HEADER_TEXT_BYTES = 16 * 1024
"""What is kept of a header: enough for all that people look at."""

_SHOWN_CHARACTERS = 200


def offer_id(account: str, uid: str) -> str:
    """What people call an offered message by: 8 letters and digits, always the same ones."""
    digest = hashlib.sha256(f"{account}\0{uid}".encode()).digest()
    return base64.b32encode(digest[:5]).decode().lower()


@dataclass(frozen=True, slots=True)
class Notices:
    """Tells of one account's large messages. `whose`: whom mail with a header is for. `clock`:
    epoch seconds. `bytes_per_second`: of the line; 0 if that is not known."""

    account: Account
    intake: Intake
    whose: Callable[[bytes], Addressed]
    clock: Callable[[], float]
    bytes_per_second: float = 0.0

    async def offer(self, uid: str, listed_bytes: int, header: bytes) -> None:
        """Queue the notice and write the offer down. Raises: Rejected, StoreError, TableError."""
        addressed = self.whose(header)
        offer = Offer(
            account=self.account.name,
            uid=uid,
            id=offer_id(self.account.name, uid),
            listed_bytes=listed_bytes,
            sender=shown(header, b"from"),
            subject=shown(header, b"subject"),
            header_text=header[:MAX_HEADER_TEXT_BYTES],
            decision=Decision.OFFERED,
            offered_at=self.clock(),
            deliver_to=", ".join(addressed.given),
        )
        collector = self.intake.collector()
        collector.write(letter(offer, shown(header, b"date"), self.bytes_per_second))
        arrival = Arrival("localhost", "", "local relaynode", header_sender="MAILER-DAEMON")
        await finish(
            self.intake.accept(
                collector,
                Envelope(NULL_PATH, addressed.recipients),
                arrival,
                given=addressed.given,
                seen=[offer],
            )
        )


def letter(offer: Offer, date: str, bytes_per_second: float) -> bytes:
    """The notice, CRLF wire form. Date, From and Message-ID are added at intake."""
    minutes = offer.listed_bytes / bytes_per_second / 60 if bytes_per_second else 0
    takes = f" (about {minutes:.0f} minutes)" if minutes >= 1 else ""
    size = f"{offer.listed_bytes / 1_000_000:.1f} MB"
    subject = f"{size} waiting from {offer.sender or 'unknown'}"
    lines = [
        f"To: {offer.deliver_to}",
        f"Subject: {encoded_words(subject)}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"A large message waits in the mailbox of account {offer.account}.",
        "Only its header has been fetched.",
        "",
        f"    From:    {offer.sender or '(unknown)'}",
        f"    Subject: {offer.subject or '(none)'}",
        *([f"    Date:    {date}"] if date else []),
        f"    Size:    {size}{takes}",
        "",
        "To have it fetched when the link is up next, or deleted unread:",
        "",
        f"    relaynode fetch --get {offer.id}",
        f"    relaynode fetch --delete {offer.id}",
        "",
        "Until then it stays where it is. `relaynode fetch --list` shows all that wait.",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def shown(header: bytes, name: bytes) -> str:
    """A field as people read it: one line, decoded, nothing in it acts on a terminal."""
    value = first_value(header[: find_header_end(header)], name) or b""
    text = value.decode("utf-8", "replace")
    with contextlib.suppress(HeaderParseError, LookupError, ValueError):
        # Broken encoded words are shown as they came.
        text = str(make_header(decode_header(text)))
    words = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in words)[:_SHOWN_CHARACTERS]
