"""Who may send through us to others: sendmail's Rcpt_ok and Relay_ok.

Mail for us and for the domains we relay for is taken from anybody. Mail for others is taken from
this machine, from the networks we serve, from clients that have logged in, and from those whom the
tables let pass, by address or by a name that leads back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy.access_lookup import CONNECT, FROM_STRICT, TO
from relaynode.policy.access_rules import RelayFrom
from relaynode.policy.client import NameState
from relaynode.policy.names import ends_in
from relaynode.policy.syntax import BadAddress
from relaynode.policy.tokens import join, tokenise
from relaynode.policy.verdict import ACCEPTED, Verdict, refused
from relaynode.tables.access_value import Action

if TYPE_CHECKING:
    from relaynode.policy.access_lookup import Tag
    from relaynode.policy.access_rules import Inquiry
    from relaynode.policy.canonify import Focus
    from relaynode.policy.tokens import Tokens
    from relaynode.tables.access_value import Value


def is_served(inquiry: Inquiry, recipient: Focus) -> bool | Verdict:
    """Is the recipient ours, or one that we relay for? A Verdict if that cannot be told now."""
    host = recipient.host
    if inquiry.settings.rejects_bang_paths and "!" in recipient.user:
        inquiry.trail.note("is the recipient ours", "it is a bang path: no")
        return False
    if host is None:
        inquiry.trail.note("is the recipient ours", "it has no domain: yes")
        return True
    if inquiry.names.is_local(host) or _is_in_our_domain(inquiry, host):
        inquiry.trail.note(f"is {join(host)} ours", "yes")
        return True
    if _is_relay_domain(inquiry, host) or _relays_to(inquiry, recipient, host):
        return True
    return _is_mx_served(inquiry, host)


def is_relayed_domain(inquiry: Inquiry, host: Tokens) -> bool | Verdict:
    """Do we pass mail for this domain on, so that what stands before it must be looked at?"""
    if _is_in_our_domain(inquiry, host) or _is_relay_domain(inquiry, host):
        return True
    value = _look_up_host(inquiry, TO, join(host))
    return _is_mx_served(inquiry, host) if value is None else _is_relay(value)


def may_ask_for(inquiry: Inquiry, domain: str) -> bool:
    """May the client have the mail for a domain sent that waits here (ETRN, RFC 1985)?

    Anybody may, for a domain that we relay for: it goes where it would go anyhow, only sooner. For
    others only who may relay. Mail that is for ourselves waits for nobody.
    """
    host = tokenise(domain)
    if inquiry.names.is_local(host):
        inquiry.trail.note(f"is {domain} ours", "yes: nothing of it waits for a link")
        return False
    return is_relayed_domain(inquiry, host) is True or may_relay(inquiry, "") is ACCEPTED


def may_relay(inquiry: Inquiry, sender: str) -> Verdict | None:
    """May the client send to addresses that are not served here? None: nothing lets it."""
    if _may_address_relay(inquiry) or _may_sender_relay(inquiry, sender):
        return ACCEPTED
    client = inquiry.client
    match client.name_state:
        case NameState.UNRESOLVED:
            text = "Relaying temporarily denied. Cannot resolve PTR record for"
            return refused(450, "4.4.0", f"{text} {client.key}")
        case NameState.FORGED:
            text = f"Relaying denied. IP name possibly forged {client.literal}"
            return refused(550, "5.7.1", text)
        case NameState.NONE:
            text = f"Relaying denied. IP name lookup failed {client.literal}"
            return refused(550, "5.7.1", text)
        case NameState.VERIFIED if _may_name_relay(inquiry, client.name.rstrip(".")):
            return ACCEPTED
    return None


def _may_address_relay(inquiry: Inquiry) -> bool:
    client, trail = inquiry.client, inquiry.trail
    if client.is_here:
        trail.note(f"client {client.address}", "this machine")
        return True
    if client.is_trusted:
        trail.note(f"client {client.address}", "in a network we serve")
        return True
    trail.note(f"client {client.address}", "in no network we serve")
    tokens = tokenise(client.key)
    for end in range(len(tokens), 0, -1):
        if _is_listed(inquiry, join(tokens[:end])):
            return True
    if _is_relay(inquiry.lookup.address(CONNECT, client.key)):
        return True
    return inquiry.names.is_local(tokenise(client.literal))


def _may_sender_relay(inquiry: Inquiry, sender: str) -> bool:
    """Does the reverse-path alone let the mail pass? Anybody can write one."""
    settings = inquiry.settings
    if not settings.relay_local_from and settings.relay_mail_from is RelayFrom.NO:
        return False
    found = inquiry.parsed(sender) if sender else None
    if found is None or isinstance(found, BadAddress) or found.host is None:
        return False
    if settings.relay_local_from and inquiry.names.is_local(found.host):
        inquiry.trail.note(f"is the sender's {join(found.host)} ours", "yes")
        return True
    if settings.relay_mail_from is RelayFrom.NO:
        return False
    user, host = join(found.user), join(found.host)
    value = inquiry.lookup.mailbox(FROM_STRICT, user, host)
    if value is None and settings.relay_mail_from is RelayFrom.DOMAIN:
        value = _look_up_host(inquiry, FROM_STRICT, host)
    return _is_relay(value)


def _may_name_relay(inquiry: Inquiry, name: str) -> bool:
    host = tokenise(name)
    if _is_in_our_domain(inquiry, host) or inquiry.names.is_local(host):
        inquiry.trail.note(f"is the client {name} ours", "yes")
        return True
    return _is_relay_domain(inquiry, host) or _is_relay(_look_up_host(inquiry, CONNECT, name))


def _relays_to(inquiry: Inquiry, recipient: Focus, host: Tokens) -> bool:
    """Does the access table say RELAY for the recipient?"""
    settings = inquiry.settings
    if not settings.relay_to_full_address:
        return _is_relay(_look_up_host(inquiry, TO, join(host)))
    user = join(recipient.user)
    if settings.relay_hosts_only:
        value = inquiry.lookup.exact(TO, f"{user}@{join(host)}")
        return _is_relay(value or inquiry.lookup.exact(TO, join(host)))
    value = inquiry.lookup.mailbox(TO, user, join(host)) or inquiry.lookup.domain(TO, join(host))
    return _is_relay(value or inquiry.lookup.exact(TO, f"{user}@"))


def _look_up_host(inquiry: Inquiry, tag: Tag, host: str) -> Value | None:
    """The entry for a host or, unless only hosts count, for one it is below."""
    if inquiry.settings.relay_hosts_only:
        return inquiry.lookup.exact(tag, host)
    return inquiry.lookup.domain(tag, host)


def _is_relay(value: Value | None) -> bool:
    return value is not None and value.action is Action.RELAY


def _is_in_our_domain(inquiry: Inquiry, host: Tokens) -> bool:
    parent = inquiry.names.parent_domain.lower()
    return inquiry.settings.relay_entire_domain and bool(parent) and ends_in({parent}, host)


def _is_relay_domain(inquiry: Inquiry, host: Tokens) -> bool:
    starts = 1 if inquiry.settings.relay_hosts_only else len(host)
    return any(_is_listed(inquiry, join(host[start:])) for start in range(starts))


def _is_listed(inquiry: Inquiry, name: str) -> bool:
    table = inquiry.rules.relay_domains
    line = table.lines.get(name.lower())
    if line is None:
        return False
    place = f"{table.file}:{line}" if line else ""
    inquiry.trail.note("relay-domains", name.lower(), place)
    return True


def _is_mx_served(inquiry: Inquiry, host: Tokens) -> bool | Verdict:
    """Are we one of the hosts that the domain's MX records name?"""
    domains = inquiry.rules.domains
    if not inquiry.settings.relay_based_on_mx or domains is None:
        return False
    name = join(host)
    exchangers = domains.mail_exchangers(name)
    if exchangers is None:
        inquiry.trail.note(f"MX of {name}", "cannot be looked up now")
        text = f"Can not check MX records for recipient host {name}"
        return refused(450, "4.4.0", text)
    inquiry.trail.note(f"MX of {name}", ", ".join(exchangers) or "none")
    return any(inquiry.names.is_local(tokenise(exchanger)) for exchanger in exchangers)
