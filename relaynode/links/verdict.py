"""What a failure means for a recipient: the one place where that is decided.

    what happened                                      the recipient
    -------------------------------------------------  -----------------------------------------
    2xx                                                is delivered
    5xx, said of it or of its message                  fails
    4xx; anything that ends a session; any error       waits, unless it has aged enough and was
    that nobody has thought of                         attempted often enough: then it fails

What counts as an attempt, so that it ages (`queue/retry.py`):

    somebody answered: the next hop, or the DNS        yes
    a stranger did, who says nothing that the next     as if nobody did: a captive portal
    hop would, or shows another host's certificate
    nobody did, over a link that is always up          yes
    nobody did, over any other link, but somebody      yes: the line was there
    else did in the same run
    nobody at all did, over any other link             no: the line was not there
    we have no network; a call was not put through;    no
    we ended the session ourselves; the budget is
    spent
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import (
    FarHostSilent,
    NameServerFailed,
    ProtocolError,
    RefusedError,
    RelaynodeError,
    TableError,
)
from relaynode.mail.reason import Reason, of_status
from relaynode.mail.status import Status, temporary
from relaynode.queue.model import Outcome, Result
from relaynode.queue.retry import aged_seconds

if TYPE_CHECKING:
    from relaynode.queue.model import QueuedRecipient
    from relaynode.queue.retry import RetryPolicy

NEVER_AN_ATTEMPT: frozenset[str] = frozenset(
    (Reason.LINK_DOWN, Reason.NO_NETWORK, Reason.CALL_FAILED, Reason.CALLED_OFF, Reason.BUDGET)
)
NOBODY_ANSWERED: frozenset[str] = frozenset(
    (Reason.CONNECT_TIMEOUT, Reason.NO_ROUTE, Reason.DNS_TEMPORARY, Reason.CONNECT_FAILED)
)
UNREACHED = NEVER_AN_ATTEMPT | NOBODY_ANSWERED


@dataclass(frozen=True, slots=True)
class Tried:
    """How a try ended. `reason`: "" to have it found out from the status. `relay`: who said so.
    `in_doubt`: the content was sent, and its final reply was not read. `host`: the next hop it was,
    where a way has several. `is_line_heard`: whatever it was, the DNS had answered. `is_stranger`:
    what answered may not have been the next hop."""

    status: Status
    reason: str = ""
    relay: str = ""
    in_doubt: bool = False
    host: str = ""
    is_line_heard: bool = False
    is_stranger: bool = False

    @property
    def is_answered(self) -> bool:
        """Did anybody answer?"""
        return self.is_line_heard or not (self.is_stranger or self.reason in UNREACHED)

    @property
    def is_unreached(self) -> bool:
        """Is it not even known whether the next hop is there?"""
        return self.is_stranger or self.reason in NOBODY_ANSWERED

    @property
    def code(self) -> str:
        """The reason that is kept."""
        if self.in_doubt and not self.status.is_permanent:
            return Reason.MAY_HAVE_BEEN_ACCEPTED
        return self.reason or of_status(self.status)


def of_error(error: BaseException) -> Tried:
    """What the failure of a whole session means for its messages: always temporary."""
    if isinstance(error, RefusedError):
        status = _at_most_temporary(error.status, str(error))
        return Tried(status, _refusal(error), host=error.host)
    if not isinstance(error, RelaynodeError):
        text = f"internal error: {type(error).__name__}: {error}"
        return Tried(temporary(text, "4.3.0"), Reason.LOCAL_ERROR)
    enhanced = "4.4.1"
    if isinstance(error, TableError):
        enhanced = "4.3.5"
    elif isinstance(error, ProtocolError):
        enhanced = "4.5.0"
    elif isinstance(error, NameServerFailed):
        enhanced = "4.4.3"
    return Tried(
        temporary(str(error), enhanced),
        error.reason,
        host=error.host,
        is_line_heard=_is_line_heard(error),
        is_stranger=error.is_stranger,
    )


def _is_line_heard(error: RelaynodeError) -> bool:
    """Has the DNS answered? It names the many hosts out there, of which one may well be silent."""
    if isinstance(error, NameServerFailed):
        return not error.is_silent
    return isinstance(error, FarHostSilent)


def _at_most_temporary(status: Status, text: str) -> Status:
    code = 451 if status.is_permanent else status.code
    return Status(code, f"4{status.enhanced[1:]}" if status.enhanced else "", text)


def _refusal(error: RefusedError) -> str:
    if error.reason != RefusedError.reason:
        return error.reason
    found = of_status(error.status)
    return error.reason if found in (Reason.DELIVERED, Reason.DEFERRED_BY_SERVER) else found


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges tries for recipients by what their records say."""

    retry: RetryPolicy

    def outcome(
        self,
        queue_id: str,
        recipient: QueuedRecipient,
        tried: Tried,
        now: float,
        *,
        host: str = "",
        is_attempt: bool = True,
    ) -> Outcome:
        """What a try means. `host`: the next hop, for the host status. `is_attempt`: does it count
        (`counts`)?"""
        attempts = recipient.attempts + is_attempt
        aged = self.aged(recipient, now) if is_attempt else recipient.aged_seconds
        result = self._result(tried.status, aged, attempts, is_attempt=is_attempt)
        is_expired = result is Result.FAILED and not tried.status.is_permanent
        return Outcome(
            queue_id,
            recipient.id,
            result,
            tried.status,
            tried.relay,
            tried.in_doubt,
            self.retry.next_attempt_at(attempts, now),
            # The budget says nothing of the host.
            "" if tried.reason == Reason.BUDGET else tried.host or host,
            reason=Reason.EXPIRED if is_expired else tried.code,
            is_attempt=is_attempt,
            aged_seconds=aged,
        )

    def _result(self, status: Status, aged: float, attempts: int, *, is_attempt: bool) -> Result:
        if status.is_success:
            return Result.DELIVERED
        if status.is_permanent:
            return Result.FAILED
        is_over = is_attempt and self.retry.is_over(aged, attempts)
        return Result.FAILED if is_over else Result.DEFERRED

    def aged(self, recipient: QueuedRecipient, now: float) -> float:
        """How much a recipient has aged that is attempted now."""
        return aged_seconds(recipient.aged_seconds, recipient.last_attempt_at, now)

    def is_last(self, recipient: QueuedRecipient, now: float) -> bool:
        """Would one more attempt that fails be the last?"""
        return self.retry.is_over(self.aged(recipient, now), recipient.attempts + 1)

    def is_late(self, outcome: Outcome) -> bool:
        """Is it time to warn the sender of a recipient with this outcome?"""
        is_waiting = outcome.result is Result.DEFERRED and outcome.is_attempt
        return is_waiting and self.retry.is_late(outcome.aged_seconds)


def counts(tried: Tried, *, is_always_up: bool, is_line_heard: bool) -> bool:
    """Is a try an attempt? `is_always_up`: it went over no link, or over one that is always there.
    `is_line_heard`: somebody has answered over the link in this run."""
    if tried.reason in NEVER_AN_ATTEMPT:
        return False
    return tried.is_answered or is_always_up or is_line_heard
