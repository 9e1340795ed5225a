"""What a check of a client, a sender or a recipient may end in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.mail.status import Status
from relaynode.tables.access_value import Action, parse_value

if TYPE_CHECKING:
    from relaynode.policy.route import Route
    from relaynode.policy.trail import Step
    from relaynode.tables.access_value import Value

_NAMES_THE_ADDRESS = frozenset({450, 550, 553})
"""The codes whose texts sendmail begins with the address that they are about."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accepted, unless `status` says why not.

    `is_discarded`: say yes, and throw the message away. `quarantine`: take the message and hold it
    for this reason, "" if not. `is_final`: nothing else is to be asked about this mail.
    """

    status: Status | None = None
    is_discarded: bool = False
    quarantine: str = ""
    is_final: bool = False
    trail: tuple[Step, ...] = field(default=(), compare=False)

    @property
    def is_accepted(self) -> bool:
        return self.status is None

    @property
    def is_settled(self) -> bool:
        """Is there nothing more to ask?"""
        return not self.is_accepted or self.is_discarded or self.is_final or bool(self.quarantine)


ACCEPTED = Verdict()
FINAL = Verdict(is_final=True)


def refused(code: int, enhanced: str, text: str) -> Verdict:
    """No, with this reply."""
    return Verdict(Status(code, enhanced, text))


def verdict_of(value: Value, rejection: Verdict) -> Verdict:
    """What an entry of the access table means for the mail; `rejection` is what REJECT says."""
    match value.action:
        case Action.OK | Action.RELAY:
            return FINAL
        case Action.REJECT:
            return rejection
        case Action.DISCARD:
            return Verdict(is_discarded=True)
        case Action.QUARANTINE:
            return Verdict(quarantine=value.text)
    return refused(value.code, value.enhanced, value.text)


def refusal_of(route: Route) -> Status | None:
    """What a client that asks for this route is told, or None if there is a way.

    The reply is made of the table's own words as sendmail does it in a session: a text without a
    code makes 553 5.3.0, whatever keyword stands before it; but what is to be tried again stays so.
    """
    if route.status is None or not route.user:
        return route.status
    dotted = route.host.replace(".", "").isdigit()
    value = parse_value(f"ERROR:{route.host}:{route.user}" if dotted else f"ERROR:{route.user}")
    if route.status.is_temporary != (value.code < 500):
        return route.status
    return Status(value.code, value.enhanced, value.text)


def addressed(status: Status, path: str) -> Status:
    """A reply with the address it is about in front, where sendmail has it; `path` as typed."""
    if status.code not in _NAMES_THE_ADDRESS:
        return status
    return replace(status, text=f"{path}... {status.text}")
