"""Reading a Received line (RFC 5321 section 4.4), whoever wrote it: by which host, and for whom.

    from pc10.lan (pc10.lan [192.0.2.10]) by gate.example.org (any program) with ESMTP id 1
        for <bob@example.org>; Sat, 21 Nov 2026 16:37:25 +0000

Comments hold what strangers said, so they are left out. Not here: writing one (`trace.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from relaynode.mail.address import scan

_PARENTHESIS = re.compile(rb"([()])")


@dataclass(frozen=True, slots=True)
class Hop:
    """What one line says: the host that wrote it, by which protocol it took the message, and for
    whom. "" for what it does not say."""

    by: str = ""
    protocol: str = ""
    recipient: str = ""


def hop_of(value: bytes) -> Hop:
    """Read the unfolded value of a Received field. Never raises."""
    clauses, semicolon, date = _without_comments(value).rpartition(b";")
    words = (clauses if semicolon else date).decode("utf-8", "surrogateescape").split()
    said: dict[str, str] = {}
    for name, word in pairwise(words):
        if name.lower() in ("by", "with", "for"):
            said.setdefault(name.lower(), word)
    found = scan(said.get("for", "").encode("utf-8", "surrogateescape"))
    return Hop(said.get("by", ""), said.get("with", ""), found[0].address if found else "")


def _without_comments(value: bytes) -> bytes:
    kept: list[bytes] = []
    depth = 0
    for part in _PARENTHESIS.split(value):
        if part == b"(":
            depth += 1
        elif part == b")":
            depth = max(depth - 1, 0)
        elif not depth:
            kept.append(part)
    return b" ".join(kept)
