"""The mailers: which form of an address each takes, for which role.

The names and what they stand for are sendmail's (cf/README, sections MAILERS and UUCP).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, TypeAlias

from relaynode.policy import forms
from relaynode.policy.canonify import Focus
from relaynode.policy.forms import NOBODY, Place
from relaynode.policy.masquerade import hide, hide_in_envelope
from relaynode.policy.role import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.forms import Form
    from relaynode.policy.masquerade import Masquerade


class Family(Enum):
    """Mailers that write addresses alike."""

    SMTP = "smtp"
    RELAY = "relay"
    HOME = "home"
    UUCP_OLD = "uucp-old"
    UUCP_DOM = "uucp-dom"
    UUCP_UUDOM = "uucp-uudom"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is true of a mailer.

    `recipient`: the form of envelope recipients. `folds_user`, `folds_host`: it takes them in
    lower case.
    """

    family: Family
    recipient: Form
    folds_user: bool = False
    folds_host: bool = True

    @property
    def is_uucp(self) -> bool:
        """Is the next hop a UUCP neighbour?"""
        return self.family in (Family.UUCP_OLD, Family.UUCP_DOM, Family.UUCP_UUDOM)


_SMTP = Kind(Family.SMTP, forms.recipient_by_domain)
_UUCP_OLD = Kind(Family.UUCP_OLD, forms.recipient_by_bang_path, folds_host=False)

KINDS = {
    "smtp": _SMTP,
    "esmtp": _SMTP,
    "smtp8": _SMTP,
    "dsmtp": _SMTP,
    "relay": Kind(Family.RELAY, forms.recipient_for_relay),
    "local": Kind(Family.HOME, forms.recipient_at_home, folds_user=True, folds_host=False),
    "prog": Kind(Family.HOME, forms.recipient_at_home, folds_host=False),
    "uucp": _UUCP_OLD,
    "uucp-old": _UUCP_OLD,
    "suucp": _UUCP_OLD,
    "uucp-new": _UUCP_OLD,
    "uucp-dom": Kind(Family.UUCP_DOM, forms.recipient_by_domain, folds_host=False),
    "uucp-uudom": Kind(Family.UUCP_UUDOM, forms.recipient_by_domain, folds_host=False),
}
"""The mailers by name."""


_Work: TypeAlias = "Callable[[Masquerade, Focus, Place], Focus]"


def form(masq: Masquerade, mailer: str, role: Role, address: Focus, place: Place) -> Focus:
    """The form that a mailer wants for an address that plays a role."""
    kind = KINDS[mailer]
    match role:
        case Role.ENVELOPE_RECIPIENT:
            return kind.recipient(address, place)
        case Role.ENVELOPE_SENDER:
            return _ENVELOPE_SENDER[kind.family](masq, address, place)
        case Role.HEADER_SENDER:
            return _HEADER_SENDER[kind.family](masq, address, place)
        case Role.HEADER_RECIPIENT:
            return _header_recipient(masq, kind, address, place)


def _ruleset(name: str) -> Callable[[_Work], _Work]:
    """Note the address as it goes in and comes out."""

    def decorate(work: _Work) -> _Work:
        @wraps(work)
        def noted(masq: Masquerade, address: Focus, place: Place) -> Focus:
            place.trail.enter(name, address.tokens)
            found = work(masq, address, place)
            place.trail.leave(name, found.tokens)
            return found

        return noted

    return decorate


# --- mailers that know domains


@_ruleset("HdrFromSMTP")
def _shown(masq: Masquerade, address: Focus, place: Place) -> Focus:
    address = forms.without_pseudo_domain(address, place)
    if address.user == (":", ";"):
        return Focus(())
    if not address.user or address.host == ():
        return address
    return hide(masq, forms.qualified(address, place), place.trail)


@_ruleset("MasqRelay")
def _shown_to_relay(masq: Masquerade, address: Focus, place: Place) -> Focus:
    return hide(masq, forms.qualified(address, place), place.trail)


@_ruleset("EnvFromSMTP")
def _sent(masq: Masquerade, address: Focus, place: Place) -> Focus:
    address = forms.without_pseudo_domain(address, place)
    if address.host == () and address.user[-1:] == (";",):
        return Focus(())
    return hide_in_envelope(masq, forms.qualified(address, place), place.trail)


@_ruleset("EnvFromUD")
def _sent_by_uucp(masq: Masquerade, address: Focus, place: Place) -> Focus:
    return Focus(NOBODY) if address.is_null else _sent(masq, address, place)


@_ruleset("EnvFromUUD")
def _sent_by_bang_path(masq: Masquerade, address: Focus, place: Place) -> Focus:
    if address.is_null:
        return Focus(NOBODY)
    sent = _sent(masq, address, place)
    if not sent.user or sent.host is None:
        return sent
    return Focus(forms.bang_path(sent, place.names, strips_ours=False))


def _header_recipient(masq: Masquerade, kind: Kind, address: Focus, place: Place) -> Focus:
    if kind.family is Family.HOME:
        return _recipient_shown_at_home(masq, address, place)
    if kind.family is Family.UUCP_OLD:
        return forms.header_recipient_by_bang_path(address, place)
    if not masq.all_headers:
        return kind.recipient(address, place)
    if kind.family is Family.RELAY:
        return _shown_to_relay(masq, address, place)
    return _shown(masq, address, place)


# --- mailers on this machine


@_ruleset("HdrFromL")
def _shown_at_home(masq: Masquerade, address: Focus, place: Place) -> Focus:
    if address.is_null:
        return Focus(NOBODY)
    address = forms.qualified_at_home(address, place)
    return hide(masq, address, place.trail) if masq.local else address


@_ruleset("EnvFromL")
def _sent_at_home(masq: Masquerade, address: Focus, place: Place) -> Focus:
    if address.is_null:
        return Focus(NOBODY)
    address = forms.qualified_at_home(address, place)
    return hide_in_envelope(masq, address, place.trail) if masq.local else address


@_ruleset("HdrToL")
def _recipient_shown_at_home(masq: Masquerade, address: Focus, place: Place) -> Focus:
    address = forms.qualified_at_home(address, place)
    if masq.all_headers and masq.local:
        return hide(masq, address, place.trail)
    return forms.at_ours(address, place)


# --- which is whose


def _without_masquerade(form: Form) -> _Work:
    return lambda masq, address, place: form(address, place)


_HEADER_SENDER: dict[Family, _Work] = {
    Family.SMTP: _shown,
    Family.RELAY: _shown,
    Family.UUCP_DOM: _shown,
    Family.UUCP_UUDOM: _shown,
    Family.UUCP_OLD: _without_masquerade(forms.sender_by_bang_path),
    Family.HOME: _shown_at_home,
}

_ENVELOPE_SENDER: dict[Family, _Work] = {
    Family.SMTP: _sent,
    Family.RELAY: _sent,
    Family.UUCP_DOM: _sent_by_uucp,
    Family.UUCP_UUDOM: _sent_by_bang_path,
    Family.UUCP_OLD: _without_masquerade(forms.sender_by_bang_path),
    Family.HOME: _sent_at_home,
}
