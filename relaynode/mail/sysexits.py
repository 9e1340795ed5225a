"""What a failed delivery's status means as an exit code of `sendmail` (sysexits.h).

Scripts look at the number, so it is the one that sendmail gives for the same enhanced code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.errors import (
    EX_CONFIG,
    EX_DATAERR,
    EX_IOERR,
    EX_NOHOST,
    EX_NOUSER,
    EX_OK,
    EX_OSERR,
    EX_PROTOCOL,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
)

if TYPE_CHECKING:
    from relaynode.mail.status import Status

_BY_DETAIL = {
    "1.0": EX_DATAERR,
    "1.1": EX_NOUSER,
    "1.2": EX_NOHOST,
    "1.3": EX_USAGE,
    "1.5": EX_CONFIG,
    "1.6": EX_NOUSER,
    "1.7": EX_USAGE,
    "1.8": EX_NOHOST,
    "2.3": EX_DATAERR,
    "3.4": EX_UNAVAILABLE,  # too large: seen so at delivery, whatever `error:5.3.4` gives
    "4.0": EX_IOERR,
    "4.2": EX_IOERR,
    "4.4": EX_PROTOCOL,
    "4.6": EX_CONFIG,
}
_BY_SUBJECT = {"3": EX_OSERR, "5": EX_PROTOCOL, "7": EX_DATAERR}


def exit_code(status: Status) -> int:
    """The exit code of a submission that ended with this status."""
    if status.is_success:
        return EX_OK
    if status.is_temporary:
        return EX_TEMPFAIL
    _, _, detail = status.dsn_status.partition(".")
    subject = detail.partition(".")[0]
    return _BY_DETAIL.get(detail) or _BY_SUBJECT.get(subject) or EX_UNAVAILABLE
