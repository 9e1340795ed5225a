"""The argument and the replies of ATRN (On-Demand Mail Relay, RFC 2645), on the server's side."""

from __future__ import annotations

import re

from relaynode.mail.status import Status

MAX_DOMAINS = 100
"""Of one command, whose length has a bound of its own."""

MAX_DOMAIN_OCTETS = 255
"""RFC 5321 4.5.3.1.2."""

_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z")


def parse_domains(argument: str) -> tuple[str, ...] | None:
    """The domains that are asked for, in lower case; () if none is named: all that there are.

    None if that is no list of domains (RFC 2645 5.2.1: separated by commas, without blanks).
    """
    if not argument:
        return ()
    words = argument.split(",")
    if len(words) > MAX_DOMAINS or not all(map(_is_domain, words)):
        return None
    return tuple(dict.fromkeys(word.lower() for word in words))


def _is_domain(word: str) -> bool:
    return len(word) <= MAX_DOMAIN_OCTETS and ".." not in word and bool(_DOMAIN.match(word))


TURNING = Status(250, "2.0.0", "OK now reversing the connection")
"""From here on the client is the server."""

REFUSED = Status(450, "4.7.1", "ATRN request refused: a domain is not kept for this login")
UNABLE = Status(451, "4.3.0", "Unable to process ATRN request now")
NO_MAIL = Status(453, "4.0.0", "You have no mail")
WRONG = Status(501, "5.5.4", "ATRN wants domains with commas between them, or nothing")
EARLY = Status(503, "5.5.0", "Bytes behind ATRN: wait for its answer")
