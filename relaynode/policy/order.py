"""In which order mail goes over a line: by grade, small before large, and nothing waits for ever.

Grades are UUCP's: one character, '0' the best and 'z' the worst. A rule of the configuration gives
one, or the header does: Priority (RFC 2156 section 5.3.6), X-Priority and Importance as mail
programs write them, Precedence as sendmail knows it. Of one grade the smaller goes first, which
costs the large little and spares the small much. What has waited longer than `ageing_seconds`, or
half of the time that a rule gives it, goes before all else, the oldest first: so mail waits no
longer than that, and for what is as old as it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from relaynode.mail.header import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

USUAL_GRADE = "C"
"""What sendmail and Exim give to mail for UUCP."""

_URGENT, _SLOW, _BULK, _JUNK = "A", "N", "Z", "z"
_BY_WORD = {
    b"priority": {b"urgent": _URGENT, b"normal": USUAL_GRADE, b"non-urgent": _SLOW},
    b"x-priority": {
        **dict.fromkeys((b"1", b"2"), _URGENT),
        b"3": USUAL_GRADE,
        **dict.fromkeys((b"4", b"5"), _SLOW),
    },
    b"importance": {b"high": _URGENT, b"normal": USUAL_GRADE, b"low": _SLOW},
    b"precedence": {
        b"special-delivery": _URGENT,
        b"first-class": USUAL_GRADE,
        b"list": _SLOW,
        b"bulk": _BULK,
        b"junk": _JUNK,
    },
}
_FIELD = re.compile(
    rb"^(priority|x-priority|importance|precedence)[ \t]*:[ \t]*([a-z0-9-]+)",
    re.IGNORECASE | re.MULTILINE,
)
# All of them at once: every message that arrives is looked at.


@dataclass(frozen=True, slots=True)
class OrderRule:
    """Mail that all of this fits has the grade. `sender`, `recipient`: patterns with `*`, in lower
    case, for the whole address; "" fits all; one recipient that fits is enough. Sizes are bytes.
    `within_seconds`: how soon it should go, None for no matter."""

    grade: str
    sender: str = ""
    recipient: str = ""
    larger_than: int = 0
    smaller_than: int | None = None
    within_seconds: float | None = None

    def fits(self, sender: str, recipients: Iterable[str], size_bytes: int) -> bool:
        """Is it for this message?"""
        return (
            size_bytes > self.larger_than
            and (self.smaller_than is None or size_bytes < self.smaller_than)
            and (not self.sender or fnmatchcase(sender.lower(), self.sender))
            and (
                not self.recipient
                or any(fnmatchcase(one.lower(), self.recipient) for one in recipients)
            )
        )


@dataclass(frozen=True, slots=True)
class Urgency:
    """What a message is queued with. `within_seconds`: see OrderRule."""

    grade: str = USUAL_GRADE
    within_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """`rules`: the first that fits counts. `uses_header`: where none does, does the header?
    `ageing_seconds`: how long mail waits behind smaller and better; None for ever."""

    rules: Sequence[OrderRule] = ()
    uses_header: bool = True
    ageing_seconds: float | None = 86400.0

    def urgency(
        self,
        header: bytes,
        sender: str,
        recipients: Sequence[str],
        size_bytes: int,
        *,
        came_with: str = "",
    ) -> Urgency:
        """How urgent a message is that arrives. `came_with`: the grade of the job that brought it,
        which counts where no rule fits."""
        for rule in self.rules:
            if rule.fits(sender, recipients, size_bytes):
                return Urgency(rule.grade, rule.within_seconds)
        by_header = _of_header(header) if self.uses_header else USUAL_GRADE
        return Urgency(came_with or by_header)

    def place(
        self, urgency: Urgency, size_bytes: int, arrived_at: float, now: float
    ) -> tuple[bool, float, str, int, float]:
        """To sort by. `now`, `arrived_at`: epoch seconds."""
        if now >= arrived_at + self._patience(urgency):
            return False, arrived_at, "", 0, 0.0
        return True, 0.0, urgency.grade, size_bytes, arrived_at

    def _patience(self, urgency: Urgency) -> float:
        ageing = float("inf") if self.ageing_seconds is None else self.ageing_seconds
        within = urgency.within_seconds
        return ageing if within is None else min(ageing, within / 2)


def _of_header(header: bytes) -> str:
    """The grade that the first field gives that has one: the sender's wish, no more."""
    if _BY_WORD.keys().isdisjoint(names(header)):
        return USUAL_GRADE
    said: dict[bytes, bytes] = {}
    for name, word in _FIELD.findall(header):
        said.setdefault(name.lower(), word.lower())
    found = (grades.get(said.get(name, b"")) for name, grades in _BY_WORD.items())
    return next(filter(None, found), USUAL_GRADE)
