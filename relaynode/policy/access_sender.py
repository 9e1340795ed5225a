"""Is this client welcome, and is this sender? sendmail's check_relay and check_mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy.access_lookup import CONNECT, FROM
from relaynode.policy.access_rules import Existence
from relaynode.policy.syntax import BadAddress
from relaynode.policy.tokens import join, tokenise
from relaynode.policy.verdict import ACCEPTED, Verdict, refused, verdict_of

if TYPE_CHECKING:
    from relaynode.policy.access_rules import Inquiry
    from relaynode.policy.canonify import Focus
    from relaynode.tables.access_value import Value

_DENIED = refused(550, "5.7.1", "Access denied")
_LOOPBACKS = frozenset(
    {"localhost", "[127.0.0.1]", "[ipv6:0:0:0:0:0:0:0:1]", "[ipv6:::1]", "localhost.uucp"}
)


def check_client(inquiry: Inquiry) -> Verdict:
    """The client's name, and what it is below, decides before its address does."""
    client = inquiry.client
    if client.is_local_user or client.is_called:
        return ACCEPTED
    value = inquiry.lookup.domain(CONNECT, client.verified_name)
    value = value or inquiry.lookup.address(CONNECT, client.key)
    return ACCEPTED if value is None else verdict_of(value, _DENIED)


def check_sender(inquiry: Inquiry, sender: str, written: str) -> Verdict:
    """`written`: the address as it is asked about, as typed or as $f has it."""
    if not sender:
        return ACCEPTED  # RFC 5321 4.5.5: the null path must be taken
    if not inquiry.settings.accept_unqualified_senders and not _may_be_localhost(inquiry, written):
        return refused(553, "5.5.4", "Real domain name required for sender address")
    address = inquiry.parsed(sender)
    if isinstance(address, BadAddress):
        return _existence_verdict(inquiry, sender, Existence.MISSING)
    existence = _existence(inquiry, address)
    value = _look_up(inquiry, address)
    if value is not None:
        return verdict_of(value, _DENIED)
    if address.host is not None:
        return _existence_verdict(inquiry, sender, existence)
    if inquiry.settings.accept_unqualified_senders or inquiry.client.is_local_user:
        return ACCEPTED
    text = f"Domain name required for sender address {inquiry.outside(sender)}"
    return refused(553, "5.5.4", text)


def _may_be_localhost(inquiry: Inquiry, written: str) -> bool:
    """`joe@localhost` is somebody else's localhost, unless the client is ours."""
    domain = written.rpartition("@")[2].lower() if "@" in written else ""
    names = inquiry.names
    ours = f"localhost.{names.parent_domain.lower()}"
    if domain not in _LOOPBACKS and domain != ours:
        return True
    if domain == "localhost.uucp" and not names.bang_paths:
        return True
    client = inquiry.client
    is_local = client.is_here or names.is_local(tokenise(client.verified_name))
    inquiry.trail.note(f"is {domain} the client itself", "yes" if is_local else "no")
    return is_local


def _existence(inquiry: Inquiry, address: Focus) -> Existence:
    settings, domains = inquiry.settings, inquiry.rules.domains
    if address.host is None or settings.accept_unresolvable_domains or domains is None:
        return Existence.EXISTS
    host = join(address.host)
    if host.lower() == inquiry.names.hostname.lower():
        return Existence.EXISTS
    existence = domains.existence(host)
    inquiry.trail.note(f"DNS {host}", existence.value)
    return existence


def _look_up(inquiry: Inquiry, address: Focus) -> Value | None:
    lookup, user = inquiry.lookup, join(address.user)
    if address.host is None:
        return lookup.mailbox(FROM, user, "")
    host = join(address.host)
    value = lookup.mailbox(FROM, user, host) or lookup.mailbox(FROM, user, "")
    return value or lookup.domain(FROM, host)


def _existence_verdict(inquiry: Inquiry, sender: str, existence: Existence) -> Verdict:
    subject = f"Domain of sender address {inquiry.outside(sender)}"
    if existence is Existence.MISSING:
        return refused(553, "5.1.8", f"{subject} does not exist")
    if existence is Existence.UNKNOWN:
        return refused(451, "4.1.8", f"{subject} does not resolve")
    return ACCEPTED
