"""sendmail's rulesets by number and name, each standing for the part of our policy that does it.

For the address test mode (`-bt`), where people type them. There are no rules as text: a ruleset
that a configuration of one's own would fill changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from relaynode.policy import forms
from relaynode.policy.canonify import canonify, focus
from relaynode.policy.forms import Place
from relaynode.policy.mailer_forms import Family, form
from relaynode.policy.masquerade import hide, hide_in_envelope
from relaynode.policy.role import SENDERS, Role
from relaynode.policy.syntax import resolve_local
from relaynode.policy.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.canonify import Focus
    from relaynode.policy.masquerade import Masquerade
    from relaynode.policy.route import Routing
    from relaynode.policy.trail import Trail

_NUMBERS = {
    "0": "parse",
    "3": "canonify",
    "4": "final",
    "5": "localaddr",
    "90": "Mailertable",
    "93": "MasqHdr",
    "94": "MasqEnv",
    "95": "MailerToTriple",
    "96": "Canonify2",
    "97": "Recurse",
    "98": "ParseLocal",
}

_EMPTY = frozenset({"ParseLocal", "Local_check_mail", "Local_check_rcpt"})
"""Rulesets that only a configuration of one's own fills."""

OF_FAMILY = {
    Family.SMTP: ("EnvFromSMTP", "HdrFromSMTP", "EnvToSMTP", "EnvToSMTP"),
    Family.RELAY: ("EnvFromSMTP", "HdrFromSMTP", "MasqSMTP", "MasqSMTP"),
    Family.HOME: ("EnvFromL", "HdrFromL", "EnvToL", "HdrToL"),
    Family.UUCP_OLD: ("FromU", "FromU", "EnvToU", "HdrToU"),
    Family.UUCP_DOM: ("EnvFromUD", "HdrFromSMTP", "EnvToSMTP", "EnvToSMTP"),
    Family.UUCP_UUDOM: ("EnvFromUUD", "HdrFromSMTP", "EnvToSMTP", "EnvToSMTP"),
}
"""A mailer's rulesets for senders in envelope and header, and for recipients in both."""


@dataclass(frozen=True, slots=True)
class Rulesets:
    """The rulesets of one node."""

    routing: Routing
    masquerade: Masquerade

    def apply(self, name: str, row: Tokens, trail: Trail) -> Tokens:
        """Pass a row through one ruleset. Raises: LookupError if there is none of that name."""
        name = _NUMBERS.get(name, name)
        if name in _ROWS:
            return _ROWS[name](self, row, trail)
        if name in _FORMS:
            return _FORMS[name](self, focus(row), trail).tokens
        if name not in _EMPTY and not name.isdecimal():
            raise LookupError(name)
        trail.enter(name, row)
        trail.leave(name, row)
        return row

    def write(self, mailer: str, role: Role, row: Tokens, trail: Trail) -> Tokens:
        """How a mailer writes an address in a role."""
        address = canonify(self.masquerade.names, row, trail)
        common = "1" if role in SENDERS else "2"
        trail.enter(common, address.tokens)
        trail.leave(common, address.tokens)
        return forms.written(self._form(mailer, role, address, trail), self._place(trail))

    def _form(self, mailer: str, role: Role, address: Focus, trail: Trail) -> Focus:
        return form(self.masquerade, mailer, role, address, self._place(trail))

    def _place(self, trail: Trail) -> Place:
        masquerade = self.masquerade
        return Place(
            masquerade.names,
            uucp_relay=masquerade.uucp_relay,
            always_add_domain=masquerade.always_add_domain,
            trail=trail,
        )


_OnRow: TypeAlias = "Callable[[Rulesets, Tokens, Trail], Tokens]"
_OnFocus: TypeAlias = "Callable[[Rulesets, Focus, Trail], Focus]"


def _canonify(rulesets: Rulesets, row: Tokens, trail: Trail) -> Tokens:
    return canonify(rulesets.routing.names, row, trail).tokens


def _parse(rulesets: Rulesets, row: Tokens, trail: Trail) -> Tokens:
    return rulesets.routing.parse(focus(row), trail).tokens


def _recurse(rulesets: Rulesets, row: Tokens, trail: Trail) -> Tokens:
    return rulesets.routing.recurse(row, trail).tokens


def _parse0(rulesets: Rulesets, row: Tokens, trail: Trail) -> Tokens:
    return resolve_local(rulesets.routing.names, focus(row), trail).tokens


def _final(rulesets: Rulesets, row: Tokens, trail: Trail) -> Tokens:
    return forms.written(focus(row), rulesets._place(trail))


_ROWS: dict[str, _OnRow] = {
    "canonify": _canonify,
    "parse": _parse,
    "Recurse": _recurse,
    "Parse0": _parse0,
    "final": _final,
}


def _of(mailer: str, role: Role) -> _OnFocus:
    return lambda rulesets, address, trail: rulesets._form(mailer, role, address, trail)


def _by(one: forms.Form) -> _OnFocus:
    return lambda rulesets, address, trail: one(address, rulesets._place(trail))


_FORMS: dict[str, _OnFocus] = {
    "MasqHdr": lambda rulesets, address, trail: hide(rulesets.masquerade, address, trail),
    "MasqEnv": lambda rulesets, address, trail: hide_in_envelope(
        rulesets.masquerade, address, trail
    ),
    "MasqSMTP": _by(forms.qualified),
    "PseudoToReal": _by(forms.without_pseudo_domain),
    "AddDomain": _by(forms.qualified_at_home),
    "HdrFromSMTP": _of("esmtp", Role.HEADER_SENDER),
    "EnvFromSMTP": _of("esmtp", Role.ENVELOPE_SENDER),
    "EnvToSMTP": _of("esmtp", Role.ENVELOPE_RECIPIENT),
    "HdrFromL": _of("local", Role.HEADER_SENDER),
    "HdrToL": _of("local", Role.HEADER_RECIPIENT),
    "EnvFromL": _of("local", Role.ENVELOPE_SENDER),
    "EnvToL": _of("local", Role.ENVELOPE_RECIPIENT),
    "FromU": _of("uucp-old", Role.ENVELOPE_SENDER),
    "HdrToU": _of("uucp-old", Role.HEADER_RECIPIENT),
    "EnvToU": _of("uucp-old", Role.ENVELOPE_RECIPIENT),
    "EnvFromUD": _of("uucp-dom", Role.ENVELOPE_SENDER),
    "EnvFromUUD": _of("uucp-uudom", Role.ENVELOPE_SENDER),
}
