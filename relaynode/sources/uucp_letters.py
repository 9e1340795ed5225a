"""The letter source: what users are told about their UUCP jobs and executions.

A letter has the null reverse-path, so that it can neither bounce to a stranger nor be answered by a
machine, and enters by intake like any message, in one commit with the end of the work it is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import AddressError, TableError
from relaynode.mail import trace
from relaynode.mail.address import parse_path
from relaynode.mail.envelope import NULL_PATH, Envelope
from relaynode.sources.intake import Arrival, Parcel, Rejected

if TYPE_CHECKING:
    from relaynode.queue.store import Store
    from relaynode.queue.uucp.model import Settled
    from relaynode.sources.intake import Intake
    from relaynode.uucico.post import Letter

_SENDER = "uucp"


class UucpLetters:
    """A `Post`. `postmaster`: who gets a letter that nobody else can have."""

    def __init__(self, intake: Intake, store: Store, *, postmaster: str) -> None:
        self._intake = intake
        self._store = store
        self._postmaster = postmaster

    async def send(self, letter: Letter, settled: Settled | None = None) -> None:
        """See Post."""
        parcel = self.parcel(letter)
        if parcel is not None:
            await self._intake.accept_all([parcel], settled=settled)
        elif settled is not None:
            await self._store.uucp.settle(settled)

    def parcel(self, letter: Letter) -> Parcel | None:
        """The message of a letter, to be queued; None if nobody can have it. Raises: StoreError."""
        for to in (letter.to, self._postmaster):
            try:
                return self._parcel(letter, to)
            except (Rejected, AddressError, TableError):
                continue
        return None

    def _parcel(self, letter: Letter, to: str) -> Parcel:
        """Raises: Rejected, AddressError, TableError, StoreError."""
        address = parse_path(to) if "@" in to else to
        recipients = tuple(self._intake.expand([address]))
        collector = self._intake.collector()
        collector.write(_content(letter, to))
        arrival = Arrival(trace.own_origin(), "", "UUCP", header_sender=_SENDER)
        return Parcel(collector, Envelope(NULL_PATH, recipients), arrival, (to,))


def _content(letter: Letter, to: str) -> bytes:
    """The message, but for what intake adds (Date, From, Message-Id). Plain ASCII."""
    lines = [
        f"To: {_line(to)}",
        f"Subject: {_line(letter.subject)}",
        "Auto-Submitted: auto-generated",
        "",
        *letter.text.splitlines(),
        "",
    ]
    return "\r\n".join(lines).encode("ascii", "replace")


def _line(text: str) -> str:
    """One line of a header, whatever a stranger put in."""
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in text)[:200]
