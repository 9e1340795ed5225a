"""Is this recipient welcome, and may this client write to it? sendmail's check_rcpt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from relaynode.policy.access_lookup import SPAM, TO
from relaynode.policy.access_rules import Delay
from relaynode.policy.always import is_postmaster
from relaynode.policy.canonify import Focus
from relaynode.policy.relay import is_relayed_domain, is_served, may_relay
from relaynode.policy.syntax import MAX_DEPTH, BadAddress
from relaynode.policy.tokens import dequote, join, tokenise
from relaynode.policy.verdict import ACCEPTED, FINAL, Verdict, refused, verdict_of
from relaynode.tables.access_value import Action

if TYPE_CHECKING:
    from relaynode.policy.access_rules import Inquiry
    from relaynode.tables.access_value import Value

_DENIED = refused(550, "5.7.1", "Relaying denied")
_DISABLED = refused(550, "5.2.1", "Mailbox disabled for this recipient")


def check_recipient(inquiry: Inquiry, sender: str, recipient: str) -> Verdict:
    """What the table says against the recipient, then whether the mail may pass."""
    address = _unpacked(inquiry, recipient)
    if isinstance(address, Verdict):
        return address
    verdict = _blocked(inquiry, address)
    if not verdict.is_accepted or verdict.is_discarded:
        return verdict
    if inquiry.client.is_authenticated:
        inquiry.trail.note(f"client {inquiry.client.address}", "has logged in")
        return replace(FINAL, quarantine=verdict.quarantine)
    if inquiry.client.is_called:
        inquiry.trail.note(f"client {inquiry.client.address}", "was called, and relays nothing")
        served = is_served(inquiry, address)
        return verdict if served is True else served or _DENIED
    if inquiry.settings.promiscuous_relay:
        inquiry.trail.note("promiscuous_relay", "everybody may send everywhere")
        return verdict
    served = is_served(inquiry, address)
    if served is True:
        return verdict
    permission = may_relay(inquiry, sender)
    if permission is ACCEPTED:
        return verdict
    return permission or served or _DENIED


def is_always_taken(inquiry: Inquiry, recipient: str) -> bool:
    """Is it the postmaster of one of our domains (RFC 5321 4.5.1), or who hears of abuse?"""
    address = inquiry.parsed(recipient)
    if isinstance(address, BadAddress) or not is_postmaster(join(address.user)):
        return False
    host = address.host
    is_virtual = host is not None and join(host).lower() in inquiry.names.virtual
    if host is not None and not is_virtual and not inquiry.names.is_local(host):
        return False
    inquiry.trail.note(f"is {recipient} always taken", "yes")
    return True


def wants_further_checks(inquiry: Inquiry, recipient: str) -> bool:
    """With delayed checks: does this recipient want client and sender checked?"""
    delay = inquiry.settings.delay_checks
    if delay is Delay.YES:
        return True
    address = inquiry.parsed(recipient)
    if isinstance(address, BadAddress):
        return True
    if address.host is None:
        address = Focus(address.user, inquiry.names.own_tokens)
    value = _taste(inquiry, address)
    action = None if value is None else value.action
    return action is not Action.FRIEND if delay is Delay.FRIEND else action is Action.HATER


def _unpacked(inquiry: Inquiry, recipient: str) -> Focus | Verdict:
    """The address that the mail would end at: `x%far@ours` is x@far, and so is `far!x@ours`."""
    address = inquiry.parsed(recipient)
    for _ in range(MAX_DEPTH):
        if isinstance(address, BadAddress):
            code, _, text = address.text.partition(" ")
            return refused(int(code), address.code, text)
        user = tokenise(dequote(address.user[0])) if len(address.user) == 1 else address.user
        leads_on = not inquiry.names.separators.isdisjoint(user)
        if inquiry.settings.loose_relay_check or address.host is None or not leads_on:
            return address
        if is_relayed_domain(inquiry, address.host) is not True:
            return Focus(user, address.host)
        address = inquiry.parsed(join(user))
    return refused(553, "5.1.3", "Invalid route address")


def _blocked(inquiry: Inquiry, address: Focus) -> Verdict:
    if not inquiry.settings.blocklist_recipients:
        return ACCEPTED
    value = _look_up(inquiry, address)
    if value is None or value.action in (Action.OK, Action.RELAY, Action.SKIP):
        return ACCEPTED
    return verdict_of(value, _DISABLED)


def _look_up(inquiry: Inquiry, address: Focus) -> Value | None:
    """The mailbox, the name in any domain (for mail of ours only), the domain."""
    lookup, user = inquiry.lookup, join(address.user)
    if address.host is None:
        return lookup.mailbox(TO, user, "")
    host = join(address.host)
    value = lookup.mailbox(TO, user, host)
    if value is None and inquiry.names.is_local(address.host):
        value = lookup.mailbox(TO, user, "")
    return value or lookup.domain(TO, host)


def _taste(inquiry: Inquiry, address: Focus) -> Value | None:
    """FRIEND or HATER: here the domain comes before the name in any domain."""
    lookup, user, host = inquiry.lookup, join(address.user), join(address.host or ())
    value = lookup.mailbox(SPAM, user, host) or lookup.domain(SPAM, host)
    if value is None and inquiry.names.is_local(address.host or ()):
        value = lookup.mailbox(SPAM, user, "")
    return value
