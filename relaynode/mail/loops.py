"""Has a message been here before, on its way to the same recipient? Then it goes round in a circle.

Counting Received lines (RFC 5321 section 6.3) finds that out after 25 rounds. Two marks tell after
one, and neither is left by mail that a user here sends to a mailbox which we fetch:

    Delivered-To: ann@example.org         a program of this host has delivered it to ann: the
    Received: ... by gate.example.org     line below is the host's own

    Received: from pop.example.net        it was fetched for ann before
        by gate.example.org with POP3 id 6ALGbPYc019600 for <ann>; ...

A Delivered-To elsewhere says nothing: the server with the mailbox writes one too (RFC 9228), and
its domain may be ours.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from relaynode.mail.address import normalise_domain, scan, split
from relaynode.mail.header import fields, unfolded
from relaynode.mail.hops import hop_of

if TYPE_CHECKING:
    from collections.abc import Collection

FETCHED_BY = ("POP3", "IMAP")
"""As our Received lines name the protocols of mailboxes."""

MAX_FIELDS = 500
"""So many fields are looked at: a header is 64 KiB at most."""


def came_before(header: bytes, hostname: str, recipients: Collection[str]) -> str:
    """What shows that the message was delivered or fetched here for one of `recipients`; "" if
    nothing does. `hostname`: ours."""
    ours = {_person(one, hostname) for one in recipients}
    delivered_to: list[str] = []
    for field in islice(fields(header), MAX_FIELDS):
        if field.is_named(b"delivered-to"):
            delivered_to += [one.address for one in scan(header[field.value_start : field.end])]
        elif field.is_named(b"received"):
            hop = hop_of(unfolded(header, field))
            if normalise_domain(hop.by) == normalise_domain(hostname):
                for one in delivered_to:
                    if _person(one, hostname) in ours:
                        return f"it was delivered to {one} here before"
                was_fetched = hop.protocol.upper().startswith(FETCHED_BY)
                if was_fetched and _person(hop.recipient, hostname) in ours:
                    return f"it was fetched for {hop.recipient} before"
            delivered_to = []
    return ""


def _person(address: str, hostname: str) -> str:
    local, domain = split(address)
    domain = normalise_domain(domain)
    return f"{local}@{domain or normalise_domain(hostname)}".lower()
