"""What `sendmail -bv` prints: whom addresses stand for, and where their mail would go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import (
    EX_CONFIG,
    EX_DATAERR,
    EX_NOHOST,
    EX_NOUSER,
    EX_OK,
    EX_PROTOCOL,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
)
from relaynode.mail.sysexits import exit_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relaynode.policy.expand import Expander, Expansion, Target
    from relaynode.policy.expanding import Complaint

_BY_KEYWORD = {
    "usage": EX_USAGE,
    "nouser": EX_NOUSER,
    "nohost": EX_NOHOST,
    "unavailable": EX_UNAVAILABLE,
    "software": EX_SOFTWARE,
    "tempfail": EX_TEMPFAIL,
    "protocol": EX_PROTOCOL,
    "config": EX_CONFIG,
    "dataerr": EX_DATAERR,
}
"""The words of `error:keyword:text` are names of exit codes."""

_AT_HOME = frozenset({"local", "prog", "*file*"})


@dataclass(frozen=True, slots=True)
class Verified:
    """The exit code and the lines to print."""

    exit_code: int
    lines: tuple[str, ...]


def verify(expander: Expander, words: Iterable[str], *, is_verbose: bool = False) -> Verified:
    """Expand the words of a command line. `is_verbose`: show the aliases on the way.

    Raises: TableError.
    """
    expansion = expander.expand_lists(words)
    lines = list(_aliases(expansion)) if is_verbose else []
    lines += [complaint.text for complaint in expansion.complaints]
    lines += [_shown(one) for one in sorted(expansion.targets, key=_is_away)]
    if expansion.refusal is not None and not expansion.complaints:
        lines.append(str(expansion.refusal))
    return Verified(expansion_exit_code(expansion), tuple(lines))


def _aliases(expansion: Expansion) -> Iterator[str]:
    for step in expansion.trail:
        table, _, name = step.question.partition(" ")
        if table == "aliases" and step.place and not name.startswith("owner-"):
            yield f"{name}... aliased to {step.answer}"


def _is_away(target: Target) -> bool:
    """Mail that stays here is listed first."""
    return target.route.mailer not in _AT_HOME


def _shown(target: Target) -> str:
    route = target.route
    mailer = "*error*" if route.mailer == "error" else route.mailer
    host = f", host {route.host}" if route.host else ""
    return f"{target.text}... deliverable: mailer {mailer}{host}, user {route.user}"


def expansion_exit_code(expansion: Expansion) -> int:
    """What the command that asked ends with: the code of the first refusal, else 64 where something
    else was wrong."""
    for complaint in expansion.complaints:
        if complaint.is_final:
            return _code(complaint)
    # A name that cannot be served now is queued, so nothing is wrong yet.
    if any(not complaint.status.is_temporary for complaint in expansion.complaints):
        return EX_USAGE
    return EX_OK if expansion.refusal is None else exit_code(expansion.refusal)


def _code(complaint: Complaint) -> int:
    keyword = complaint.route.host.lower() if complaint.route is not None else ""
    return _BY_KEYWORD.get(keyword) or exit_code(complaint.status)
