"""The access table against the rest: entries that no check looks up with these settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.policy.access_rules import Delay
from relaynode.policy.lint.finding import warning
from relaynode.tables.access_value import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.lint.finding import Finding, Site
    from relaynode.tables.access import AccessEntry

_TAGGED = re.compile(r"(connect|from|to|spam):(.*)\Z", re.DOTALL)
_OCTETS = re.compile(r"\[?[0-9]+(?:\.[0-9]+){0,}\]?")
_MAX_OCTET = 255
_MAX_OCTETS = 4


def lint_access(site: Site) -> Iterator[Finding]:
    """All that is odd in the access table."""
    table = site.access
    for entry in table.entries.values():
        found = _TAGGED.match(entry.key)
        tag, key = (found[1], found[2]) if found else ("", entry.key)
        never = _why_never(site, tag, key, entry)
        if never is not None:
            yield warning(
                table.file, entry.line, f"{entry.key} never matches: {never[0]}", never[1]
            )


def _why_never(site: Site, tag: str, key: str, entry: AccessEntry) -> tuple[str, str] | None:
    settings = site.access_settings
    if tag == "spam" and settings.delay_checks not in (Delay.FRIEND, Delay.HATER):
        return "Spam: is asked only with delay_checks", 'set [access] delay_checks = "friend"'
    if tag == "to" and not settings.blocklist_recipients and entry.value.action != Action.RELAY:
        remedy = "set [access] blocklist_recipients = true"
        return "recipients are not looked up, but for RELAY", remedy
    if tag == "connect" and "@" in key:
        return "a client is a host or an address", "write From: or To:"
    if key.startswith(".") and not settings.has_dot_domains:
        return "a domain stands for what is below it without a dot", f"write {key.lstrip('.')}"
    return _why_no_host(key)


def _why_no_host(key: str) -> tuple[str, str] | None:
    if key.endswith(".") and len(key) > 1:
        return "names and networks have no dot at their end", f"write {key.rstrip('.')}"
    if _OCTETS.fullmatch(key):
        octets = key.strip("[]").split(".")
        if len(octets) > _MAX_OCTETS or any(int(octet) > _MAX_OCTET for octet in octets):
            return "this is no IP address", "an address has four numbers up to 255"
    return None
