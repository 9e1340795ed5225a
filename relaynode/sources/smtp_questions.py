"""VRFY and EXPN, where they are answered at all: whom a name stands for (RFC 5321 3.5).

VRFY says whether there is such a mailbox; EXPN names who is behind it. Programs and files that an
alias leads to are never shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import AddressError, TableError
from relaynode.mail.address import parse_path
from relaynode.mail.status import Status, temporary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.mail.envelope import Recipient
    from relaynode.policy.expand import Expander
    from relaynode.smtp.events import Verify

MAX_SHOWN = 100
"""Lines of an answer to EXPN."""

_PRIVATE = frozenset(("prog", "*file*", "error"))


def answer(expander: Expander, asked: Verify, hostname: str) -> tuple[Status, tuple[str, ...]]:
    """The reply, and its further lines."""
    try:
        path = parse_path(asked.word, allow_utf8=True)
        expansion = expander.expand(path)
    except AddressError as error:
        return Status(553, "5.1.3", str(error)), ()
    except TableError as error:
        return temporary(str(error), "4.3.5"), ()
    if expansion.refusal is not None:
        return expansion.refusal, ()
    lines = _shown(expansion.recipients, hostname)
    if not asked.is_list or not lines:
        # RFC 5321 3.5.2: what is not kept here is not vouched for.
        return Status(252, "2.1.5", f"<{_whole(path, hostname)}> is taken"), ()
    if len(lines) > MAX_SHOWN:
        return Status(550, "5.7.2", "The list is too long to be shown"), ()
    return Status(250, "2.1.5", lines[0]), tuple(lines[1:])


def _shown(recipients: Sequence[Recipient], hostname: str) -> list[str]:
    public = [one for one in recipients if one.mailer not in _PRIVATE]
    return [f"<{_whole(one.address, hostname)}>" for one in public]


def _whole(address: str, hostname: str) -> str:
    return address if "@" in address else f"{address}@{hostname}"
