"""What a table refuses mail with, as reply code, enhanced code and text."""

from __future__ import annotations

import re

from relaynode.mail.status import Status
from relaynode.policy.tokens import tokenise
from relaynode.policy.triple import Triple, error

_KEYWORDS = {
    "usage": (501, "5.5.2"),
    "nouser": (550, "5.1.1"),
    "nohost": (550, "5.1.2"),
    "unavailable": (554, "5.0.0"),
    "software": (554, "5.3.5"),
    "tempfail": (450, "4.0.0"),
    "protocol": (554, "5.5.0"),
    "config": (554, "5.3.5"),
}
"""The words of `error:keyword:text` (sysexits(3) names) and what they stand for."""

_ENHANCED = re.compile(r"([45])\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_CODE = re.compile(r"([45][0-9][0-9])(?:[ -]+|\Z)")


def status_of(word: str, text: str) -> Status:
    """What the sender is told. `word`: D.S.N, a keyword or ""; `text` may begin with a reply
    code."""
    text = text.strip('" ')
    code, enhanced = _KEYWORDS.get(word.lower(), (554, "5.0.0"))
    if is_enhanced := _ENHANCED.match(word):
        code, enhanced = (450 if is_enhanced[1] == "4" else 550), word
    if written := _CODE.match(text):
        code, text = int(written[1]), text[written.end() :]
        if enhanced[0] != written[1][0]:
            enhanced = f"{written[1][0]}.0.0"
    return Status(code, enhanced, text.strip() or "Mail for this address is refused")


def broken(text: str) -> Triple:
    """Mail waits for the administrator to mend a table."""
    return error(tokenise("4.3.5"), (f"451 {text}",))
