"""One transaction of an SMTP client: what was given so far, what filters make of it, and what it
would be known again by."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail.address import parse_path
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.trace import count_received
from relaynode.milter.replies import AddRecipient, ChangeFrom
from relaynode.queue.model import OnceMark
from relaynode.sources.intake import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from relaynode.mail.status import Status
    from relaynode.policy.verdict import Verdict
    from relaynode.sources.intake import Collector
    from relaynode.sources.letter import EnvelopeChange, Letter

    Expand = Callable[[str], dict[tuple[str, ...], Recipient]]

log = logging.getLogger("relaynode")


def with_wishes(
    expansion: dict[tuple[str, ...], Recipient], notify: str, orcpt: str
) -> dict[tuple[str, ...], Recipient]:
    """Whom a recipient stands for, with what the client wants to be told of it (RFC 3461 5.2)."""
    if not notify and not orcpt:
        return expansion
    return {
        identity: replace(one, notify=notify, orcpt=orcpt) for identity, one in expansion.items()
    }


@dataclass(slots=True)
class Transaction:
    """`given`: the forward-paths accepted, as they were given; `expansions`: whom each stands for,
    by identity. `shown`: how each recipient was written first, by the route it has.
    `is_discarded`, `quarantine`: see policy/verdict.py; what holds for one recipient holds for the
    message. `ret`, `envid`: what is wanted of DSNs. `once_id`: what the client calls the message in
    all its tries, "" if nothing. `has_common_id`: it calls all its messages so; then only the
    content tells two of them apart. `queue_id`: the one that filters were told, "" if none were.
    `above`, `below`: see Arrival."""

    reverse_path: str
    body: str
    smtputf8: bool
    once_id: str = ""
    has_common_id: bool = False
    given: list[str] = field(default_factory=list)
    expansions: dict[str, dict[tuple[str, ...], Recipient]] = field(default_factory=dict)
    shown: dict[tuple[str, str, str], str] = field(default_factory=dict)
    collector: Collector | None = None
    failure: Status | None = None
    is_discarded: bool = False
    quarantine: str = ""
    queue_id: str = ""
    above: bytes = b""
    below: bytes | None = None
    ret: str = ""
    envid: str = ""
    _digest: hashlib._Hash | None = None

    def note(self, verdict: Verdict) -> None:
        """Remember what an accepted client, sender or recipient does to the message."""
        self.is_discarded = self.is_discarded or verdict.is_discarded
        self.quarantine = self.quarantine or verdict.quarantine

    def write(self, data: bytes) -> None:
        """Content, where it is kept. Raises: StoreFull, StoreError."""
        if self.collector is not None:
            self.collector.write(data)
            if self.once_id:
                self._digest = self._digest or hashlib.sha256()
                self._digest.update(data)

    def envelope(self) -> Envelope:
        """Each recipient once, however many of the forward-paths stand for it."""
        recipients: dict[tuple[str, ...], Recipient] = {}
        for expansion in self.expansions.values():
            for identity, recipient in expansion.items():
                recipients.setdefault(identity, recipient)
        return Envelope(
            self.reverse_path,
            tuple(recipients.values()),
            self.body,
            self.smtputf8,
            self.ret,
            self.envid,
        )

    def mark(self) -> OnceMark | None:
        """By what the message would be known again, once its content is whole.

        Who sends it and whether it is held are part of what it is: a copy that a stranger slips in
        where it is held does not stand for the one that would not be.
        """
        if not self.once_id or (self.has_common_id and not self._has_trace()):
            return None
        digest = hashlib.sha256() if self._digest is None else self._digest.copy()
        digest.update(f"\0{self.reverse_path}\0{self.quarantine}".encode())
        return OnceMark(self.once_id, digest.hexdigest(), tuple(dict.fromkeys(self.given)))

    def _has_trace(self) -> bool:
        """Has a server put its own id and time on this message? Then no other is the same."""
        return self.collector is not None and count_received(self.collector.header) > 0

    def drop(self, paths: Collection[str]) -> None:
        """Forget forward-paths again."""
        self.given = [path for path in self.given if path not in paths]
        for path in paths:
            self.expansions.pop(path, None)  # a filter may have done so

    def remove(self, address: str) -> None:
        """Whoever was given or is meant by this address shall not have the message."""
        wanted = address.casefold()
        for path in [path for path in self.expansions if path.casefold() == wanted]:
            del self.expansions[path]
        for expansion in self.expansions.values():
            for identity, recipient in list(expansion.items()):
                if recipient.address.casefold() == wanted:
                    del expansion[identity]

    @property
    def has_recipients(self) -> bool:
        """Is there anybody left who shall have it?"""
        return any(self.expansions.values())

    def discard(self) -> None:
        """Forget the content."""
        if self.collector is not None:
            self.collector.discard()


def apply_changes(letter: Letter, transaction: Transaction, expand: Expand) -> None:
    """What filters want done to a message. Who is added is expanded as any recipient is; somebody
    who cannot be is told of in the log. Raises: TableError."""
    transaction.above, transaction.below = letter.above, letter.below
    transaction.quarantine = transaction.quarantine or letter.quarantine
    for change in letter.envelope:
        try:
            _change_envelope(change, transaction, expand)
        except (AddressError, Rejected) as error:
            log.warning("a filter's %s is passed over: %s", change.path, error)
    if not transaction.has_recipients:
        transaction.is_discarded = True


def _change_envelope(change: EnvelopeChange, transaction: Transaction, expand: Expand) -> None:
    path = parse_path(change.path, allow_utf8=transaction.smtputf8)
    if isinstance(change, ChangeFrom):
        transaction.reverse_path = path
    elif isinstance(change, AddRecipient):
        transaction.expansions[path] = expand(path)
    else:
        transaction.remove(path)
