"""What two systems have told each other that they can do, beyond the UUCP that everybody speaks.

Taylor UUCP states them in one number behind `-N` or `ROKN`, others in options of their own (-R,
-U). A feature may be used toward a peer only if the peer has announced it.
"""

from __future__ import annotations

from enum import IntFlag


class Features(IntFlag):
    """The bits of `-N` and `ROKN`."""

    SIZES = 0o1
    """S and E tell the size of the file, R the largest that is wanted."""
    RESTART = 0o2
    """SY and EY tell where a broken transfer goes on."""
    EXECUTE = 0o4
    """E is understood: data and command in one."""
    DECIMAL = 0o10
    """Sizes are written in decimal (Taylor 1.03). Implied by a bare -N, never sent."""
    DUMMY = 0o20
    """A word stands before the size (SVR4). Implied by -U, never sent."""
    QUOTES = 0o40
    """The option `q` is understood: fields are backslash quoted."""
    AT_ONCE = 0o2000
    """Over i a caller may send commands and files right behind its SYNC, as if the called side had
    asked for what relaynodes ask for. Our own; others pass over bits that they do not know."""


NONE = Features(0)
TAYLORS = Features.SIZES | Features.RESTART | Features.EXECUTE | Features.QUOTES
"""What Taylor UUCP 1.07 announces."""

OURS = TAYLORS | Features.AT_ONCE
BARE = Features.SIZES | Features.DECIMAL
"""What a -N or ROKN without a number means."""

_KNOWN = OURS | Features.DECIMAL | Features.DUMMY


def from_number(number: int) -> Features:
    """The features in the argument of -N; bits that nobody knows are left out."""
    return Features(number & _KNOWN)
