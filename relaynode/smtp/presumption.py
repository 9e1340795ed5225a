"""What a server is presumed to offer because it did when we spoke last, until it has answered EHLO.

A round trip is saved when the first message follows EHLO at once. That a server offers less than it
did is found out when its answer comes; what went out by then must not have done any harm:

    a parameter it does not know   MAIL is refused, and nothing was accepted
    no CHUNKING                    BDAT is refused, and the server takes the content for commands

The last is how mail is smuggled: a message whose lines are commands would have them carried out, in
our name. So content that could be read as a command waits for the answer; `Watch` tells which.
"""

from __future__ import annotations

import re

VERBS = (
    "ATRN AUTH BDAT BURL DATA EHLO ETRN EXPN HELO HELP LHLO MAIL NOOP QUIT RCPT RSET SAML SEND SOML"
    " STARTTLS TURN VRFY XCLIENT XFORWARD"
).split()
"""The commands of RFC 5321 and of the extensions that servers have."""

LONGEST_LINE = 500
"""A server may cut lines where its buffer ends, and 512 octets is the least it has (RFC 5321
4.5.3.1.4): what stands behind the cut would begin a line."""

_COMMAND = re.compile(rb"[\r\n][ \t]*(?:" + "|".join(VERBS).encode() + rb")\b", re.IGNORECASE)
_LONG = re.compile(rb"[^\r\n]{%d}" % LONGEST_LINE)


class Watch:
    """Looks at content, piece by piece, for what a server could take for a command."""

    def __init__(self) -> None:
        self._before = b"\n"

    def is_harmless(self, piece: bytes) -> bool:
        """May the next piece go out before it is known that the server takes it for content?

        Once the answer is no, it stays so.
        """
        text = self._before + piece
        if _COMMAND.search(text) or _LONG.search(text):
            return False
        self._before = text[-LONGEST_LINE:]
        return True
