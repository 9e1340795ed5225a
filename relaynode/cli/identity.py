"""`sendmail -d0.1`: version, and what we believe our names are. Scripts look for both."""

from __future__ import annotations

import sys

from relaynode import __version__

_WIDTH = 56


def identity(hostname: str) -> str:
    """The text, in sendmail's layout."""
    short, _, domain = hostname.partition(".")
    names = (
        ("(short domain name) $w", short),
        ("(canonical domain name) $j", hostname),
        ("(subdomain name) $m", domain),
        ("(node name) $k", hostname),
    )
    return "\n".join(
        (
            f"Version {__version__} (relaynode)",
            f" Compiled with: PYTHON={sys.version.partition(' ')[0]}",
            "",
            " SYSTEM IDENTITY (after readcf) ".center(_WIDTH, "="),
            *(f"{what:>30} = {name}" for what, name in names),
            "=" * _WIDTH,
            "",
        )
    )
