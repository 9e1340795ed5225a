"""What the queue holds, and every legal state with who moves it on.

A message owns: one `message` row; one `recipient` row per forward-path; `event` rows, its history;
and, when its content is longer than INLINE_BYTES, one file in the spool's `content` folder. A
message for several reverse-paths (the sender's, and those of the owners of lists) becomes several,
queued at once; a long content is then one file with a name for each of them.

    message    means                                content   moved on by
    ---------  -----------------------------------  --------  ------------------------------
    queued     at least one recipient is waiting    kept      hold -> held; remove -> removed;
                                                              record, when the last recipient
                                                              ends -> done; record or reap, when
                                                              it broke us MAX_STRIKES times -> held
    held       nobody may claim it                  kept      release -> queued;
                                                              remove -> removed
    done       all recipients delivered or failed   dropped   prune deletes the rows in time
    removed    the operator took it away            dropped   prune deletes the rows in time

    recipient  means                                claim     moved on by
    ---------  -----------------------------------  --------  ------------------------------
    waiting    due at `next_attempt_at`             none      claim -> waiting with a claim
    waiting    a worker is delivering it now        its       record -> delivered, failed, or
                                                    owner     waiting with an attempt more;
                                                              unclaim -> waiting as before, or,
                                                              after a record that failed,
                                                              `in_doubt`;
                                                              reap, when the owner is dead,
                                                              -> waiting, `in_doubt`
    delivered  the next hop has promised to do it   none      final
    failed     it never will be; a DSN that is due  none      final
               was queued in the same commit
    removed    its message was removed              none      final

`held_for` says why a message is held: "held" by the operator, "quarantined" on its way in, or
"poison", after it broke us. `attempts`, `aged_seconds` and `last_attempt_at` of a recipient count
the chances that it had, not the tries of a line that was down: see `retry.py`. `reason` is a code
of mail/reason.py.

`in_doubt` stays on a recipient once a try ended after the whole content may have been sent and
before the final reply was read: the next hop may have accepted it, so it may arrive twice. Likewise
where a try ended and that could not be written down. A recipient without `in_doubt` and without a
last status was never tried; delivery to a Maildir relies on it.

Mail that came by SMTP with a once-only id leaves `once` rows (`once.py`), one per forward-path it
was accepted for, written in the transaction that queues it. They outlive the message:
`forget_taken` deletes them in time.

The UUCP work that is not mail has a table of its own, in `uucp/model.py`.

What a crash leaves: every move is one transaction, so each row is as before or as after it. A
content file is written and synced before its row is committed, so it may be left without a row;
its name carries the owner that wrote it, and `reap` deletes it once that owner is dead. A claim
of a dead owner is taken back by `reap`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from relaynode.mail.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from relaynode.mail.envelope import Envelope, Recipient
    from relaynode.mail.status import Status
    from relaynode.queue.content import Content


MAX_STRIKES = 3
"""A message that broke us so often is set aside."""


class MessageState(StrEnum):
    QUEUED = "queued"
    HELD = "held"
    DONE = "done"
    REMOVED = "removed"


class RecipientState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    REMOVED = "removed"


class Verb(StrEnum):
    """What an operator can do to a message."""

    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"


OPERATOR_MOVES: dict[tuple[MessageState, Verb], MessageState] = {
    (MessageState.QUEUED, Verb.HOLD): MessageState.HELD,
    (MessageState.HELD, Verb.RELEASE): MessageState.QUEUED,
    (MessageState.QUEUED, Verb.REMOVE): MessageState.REMOVED,
    (MessageState.HELD, Verb.REMOVE): MessageState.REMOVED,
}
"""The operator's rows of the table above; a pair that is absent is refused."""


HELD_FOR: dict[str, Reason] = {
    "": Reason.HELD,
    "held": Reason.HELD,
    "quarantined": Reason.QUARANTINED,
    "poison": Reason.POISON,
}
"""What `held_for` may be, with its code; "" is a message held by an older version."""


class Result(StrEnum):
    """How one try for one recipient ended."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message on its way into the queue.

    `trace`: the header lines we put in front (Received, missing fields), CRLF wire form.
    `content`: as it was received, CRLF wire form.
    `source`: where it came from, for people and logs ("smtp 192.0.2.7", "local alice").
    `lines`: how many lines the content has, so many bytes fewer it is with Unix line ends.
    `body_bytes`: the length of what follows the header, with Unix line ends, as mailq shows it.
    `hold_reason`: why it is held from the start (quarantined), "" if it is not.
    `grade`: UUCP's, for the order in which mail goes. `within_seconds`: how soon it should go.
    `links`: those that it counts for (quota). `notes`: what its history tells besides.
    """

    queue_id: str
    envelope: Envelope
    trace: bytes
    content: Content
    source: str
    arrived_at: float
    lines: int = 0
    body_bytes: int = 0
    hold_reason: str = ""
    grade: str = "C"
    within_seconds: float | None = None
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenMark:
    """One entry of a seen-list: a message of a remote mailbox that is in the queue.

    `taken_at`: when it was queued, epoch seconds; 0: in the commit that writes it. `listed_bytes`:
    what the server said of its size; 0 if that is not known. `digest`: of its content
    (polls/digest.py), "" if that is not known. `gone_at`: since when it is no longer listed.
    """

    account: str
    uid: str
    taken_at: float = 0.0
    listed_bytes: int = 0
    digest: str = ""
    gone_at: float | None = None


class Decision(StrEnum):
    """What becomes of a message whose header came first."""

    OFFERED = "offered"  # nobody has said
    GET = "get"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Offer:
    """A message of a remote mailbox of which only the header came (polls/choice.py).

    `id`: by which people name it. `sender`, `subject`: as people read them. `header_text`: as it
    came, cut where it is long. `deliver_to`: who was told.
    """

    account: str
    uid: str
    id: str
    listed_bytes: int
    sender: str
    subject: str
    header_text: bytes
    decision: str  # a Decision
    offered_at: float
    deliver_to: str


Mark: TypeAlias = SeenMark | Offer


@dataclass(frozen=True, slots=True)
class OnceMark:
    """What tells mail that comes a second time, because our answer to the first was lost.

    `once_id`: the sending node's name for the message, the same in all its tries. `digest`: of all
    else that makes it this mail. `recipients`: the forward-paths as they were given. Only where all
    three agree is a mail known again, so that an id which is used twice loses nothing.
    """

    once_id: str
    digest: str
    recipients: tuple[str, ...]

    def without(self, known: Collection[str]) -> OnceMark:
        """The same for the other recipients."""
        others = tuple(path for path in self.recipients if path not in known)
        return replace(self, recipients=others)


@dataclass(frozen=True, slots=True)
class QueuedRecipient:
    """One recipient as the queue knows it. `id` names it towards the store.

    `attempts`: that counted. `last_attempt_at`: the latest of them, epoch seconds, 0 for never.
    `aged_seconds`: see `retry.py`. `reason`: why its last try ended as it did, "" before the first.
    """

    id: int
    forward_path: Recipient
    state: RecipientState = RecipientState.WAITING
    attempts: int = 0
    next_attempt_at: float = 0.0
    claim: str | None = None
    in_doubt: bool = False
    last_status: Status | None = None
    relay: str = ""
    reason: str = ""
    aged_seconds: float = 0.0
    last_attempt_at: float = 0.0


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """One message as the queue knows it, without its content.

    `size_bytes` counts the content. `lines`, `body_bytes`: see NewMessage. `held_for`: a key of
    HELD_FOR. `warned_at`: when its sender was told that it still waits, epoch seconds, 0 for never.
    `grade`, `within_seconds`: see NewMessage.
    """

    queue_id: str
    state: MessageState
    arrived_at: float
    source: str
    envelope: Envelope
    size_bytes: int
    recipients: tuple[QueuedRecipient, ...]
    lines: int = 0
    body_bytes: int = 0
    held_for: str = ""
    warned_at: float = 0.0
    grade: str = "C"
    within_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed message with those of its recipients that one try is for: what a mailer pulls.

    `in_hand`: to be entered while something is done with the message that may break us, so that it
    is known afterwards what did (`in_hand.py`).
    """

    message: QueuedMessage
    recipients: tuple[QueuedRecipient, ...]
    trace: bytes
    content: Content
    in_hand: Callable[[], AbstractContextManager[None]] = field(
        default=nullcontext, repr=False, compare=False
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended for one recipient of a delivery.

    `relay`: who gave the status ("relay.example.net [192.0.2.25]", "maildir"), or "".
    `in_doubt`: the content may have been accepted, its final reply was not read.
    `next_attempt_at`: for DEFERRED, epoch seconds. `host`: the next hop, for the host status; ""
    for what concerns none. `reason`: a code of mail/reason.py. `is_attempt`: it counts;
    `aged_seconds`: how much the recipient has aged with it.
    """

    queue_id: str
    recipient_id: int
    result: Result
    status: Status
    relay: str = ""
    in_doubt: bool = False
    next_attempt_at: float = 0.0
    host: str = ""
    reason: str = ""
    is_attempt: bool = True
    aged_seconds: float = 0.0

    @property
    def is_strike(self) -> bool:
        """Did the message break us?"""
        return self.reason == Reason.MESSAGE_BROKE


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What a next hop last had to say, and when (epoch seconds): for `hoststat`."""

    host: str
    at: float
    status: Status


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a message's history."""

    queue_id: str
    at: float
    kind: str
    recipient: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was taken back from dead owners."""

    queue_ids: tuple[str, ...] = field(default_factory=tuple)
