"""What is wrong with a value that names a relay: in a mailertable, or in [routing].

    relay.example.net            a host (in [routing] only)
    gw1.example.net:gw2.example  hosts, tried one after the other (likewise)
    esmtp:[gw.example.net]       a mailer and its host
    relay:box@gw.example.net     a mailer, and another recipient
    local:joe  error:5.7.1:550 Closed

A word is a mailer if it has no dot and no bracket; so `gw:backup` names mailer gw.
"""

from __future__ import annotations

import difflib
import re

from relaynode.tables.mailertable import MAILERS

_MAILER = re.compile(r"([^\s.:@\[\]]+)[ \t]*:(.*)\Z", re.DOTALL)
_HOST = re.compile(
    r"(?:[^\s@\[\]:]+@)?(?:\[[^\s\[\]]+\]|[^\s:@\[\]]+)(?::(?:\[[^\s\[\]]+\]|[^\s:@\[\]]+))*"
)
_LIKE_A_PORT = re.compile(r"[0-9]{1,5}")


def split_mailer(value: str) -> tuple[str, str]:
    """The mailer in lower case ("" if none is named) and what stands behind its colon."""
    found = _MAILER.match(value.strip())
    return (found[1].lower(), found[2].strip()) if found else ("", value.strip())


def relay_problem(value: str) -> tuple[str, str] | None:
    """What is wrong with a relay, and the remedy; None if nothing is."""
    mailer, rest = split_mailer(value)
    if mailer and mailer not in MAILERS:
        return f"unknown mailer {mailer}", _known_mailers(mailer)
    if mailer in ("local", "discard"):
        return None
    if not rest:
        what = "text" if mailer == "error" else "host"
        return f"{mailer}: names no {what}", f"write it behind the colon of {mailer}:"
    if mailer != "error" and not _HOST.fullmatch(rest):
        return f"{rest} is no host", "write one host, or several with colons between"
    return None


def port_in(value: str) -> str:
    """The digits at the end of a value that look like a port; sendmail takes them for a host."""
    mailer, rest = split_mailer(value)
    if mailer in ("local", "error", "discard"):
        return ""
    last = rest.rpartition(":")[2]
    return last if last != rest and _LIKE_A_PORT.fullmatch(last) else ""


def _known_mailers(mailer: str) -> str:
    close = difflib.get_close_matches(mailer, MAILERS, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(MAILERS))}"
