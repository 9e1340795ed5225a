"""The genericstable against the rest: senders that it is never asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.policy.lint.finding import warning
from relaynode.policy.tokens import tokenise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.lint.finding import Finding, Site


def lint_genericstable(site: Site) -> Iterator[Finding]:
    """All that is odd in the genericstable."""
    table = site.genericstable
    for entry in table.entries.values():
        never = _why_never(site, entry.key)
        if never is not None:
            yield warning(
                table.file, entry.line, f"{entry.key} never matches: {never[0]}", never[1]
            )
        if re.search(r"[,\s]", entry.value.strip()):
            what = f"{entry.key}: {entry.value.strip()} is more than one address"
            yield warning(table.file, entry.line, what, "a sender has one")
        if re.search("%[2-9]", entry.value.replace("%%", "")):
            what = f"{entry.key}: {entry.value.strip()} has an argument that is always empty"
            yield warning(table.file, entry.line, what, "there are %0 and %1")


def _why_never(site: Site, key: str) -> tuple[str, str] | None:
    """Names without a domain are looked up with our own; others only if they are listed."""
    user, at, domain = key.rpartition("@")
    if not at or domain == site.names.hostname.lower():
        return None
    if not domain:
        return "it has no domain", f"write {user}"
    if domain.endswith("."):
        return "domains are looked up without the dot at their end", f"write {key.rstrip('.')}"
    if not site.names.is_generic(tokenise(domain)):
        return f"{domain} is not in [masquerade] generics_domains", "add it there"
    return None
