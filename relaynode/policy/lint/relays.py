"""The relays of [routing] against the rest: those that are this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy.lint.finding import warning
from relaynode.tables.relay_value import split_mailer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.policy.lint.finding import Finding, Site


def lint_relays(site: Site, file: str) -> Iterator[Finding]:
    """Relays that are ourselves; `file` is that of the settings."""
    relays = site.routing.relays
    for key in ("smart_host", "uucp_relay", "mail_hub", "local_relay", "luser_relay"):
        mailer, rest = split_mailer(getattr(relays, key))
        host = rest.rpartition("@")[2].partition(":")[0].strip("[]")
        if mailer not in ("local", "error") and host and site.is_ours(host):
            what = f"routing.{key}: {host} is this host, so there is none"
            yield warning(file, None, what, "name another host")
