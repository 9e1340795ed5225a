"""How each mailer wants an address written: with a domain, as a bang path, or a bare name.

A form takes an address in focus and gives one, and notes its way in the trail under the name that
sendmail's rulesets have; `written` then writes it out. Which mailer takes which form for which
role is in `mailers.py`. Not here: what hides a domain (`masquerade.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, TypeAlias

from relaynode.policy.canonify import LOCAL, Focus, final, is_uucp
from relaynode.policy.tokens import Tokens, tokenise
from relaynode.policy.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.names import Names

NOBODY: Tokens = ("MAILER-DAEMON",)
"""Who sends what has the null path, where a name must be written ($n)."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a form needs to know.

    `names`: what we are called. `host`: the next hop that the mailer is to reach, or "".
    `uucp_relay`: the value of UUCP_RELAY, or "". `always_add_domain`: names get a domain in local
    mailboxes too.
    """

    names: Names
    host: str = ""
    uucp_relay: str = ""
    always_add_domain: bool = False
    trail: Trail = field(default_factory=Trail)


Form: TypeAlias = "Callable[[Focus, Place], Focus]"


def ruleset(name: str) -> Callable[[Form], Form]:
    """Note the address as it goes into a form and comes out of it."""

    def decorate(form: Form) -> Form:
        @wraps(form)
        def noted(address: Focus, place: Place) -> Focus:
            place.trail.enter(name, address.tokens)
            found = form(address, place)
            place.trail.leave(name, found.tokens)
            return found

        return noted

    return decorate


@ruleset("MasqSMTP")
def qualified(address: Focus, place: Place) -> Focus:
    """A name without a host gets one, which is to be ours."""
    return Focus(address.user, LOCAL) if address.host is None and address.user else address


@ruleset("AddDomain")
def _with_domain(address: Focus, place: Place) -> Focus:
    return Focus(address.user, LOCAL) if address.host is None and address.user else address


def qualified_at_home(address: Focus, place: Place) -> Focus:
    """In local mailboxes a name stays as it is, unless always_add_domain says otherwise."""
    return _with_domain(address, place) if place.always_add_domain else address


def at_ours(address: Focus, place: Place) -> Focus:
    """What waits for our name gets it."""
    if address.host != LOCAL:
        return address
    return Focus(address.user, (*place.names.own_tokens, "."), address.rest)


@ruleset("PseudoToReal")
def without_pseudo_domain(address: Focus, place: Place) -> Focus:
    """`joe@node.UUCP` as something that a domain mailer can carry.

    What goes to `node` itself loses `node!`; all else becomes a bang path at UUCP_RELAY, or at
    our own host if there is none.
    """
    if not place.names.bang_paths or not is_uucp(address) or not address.user or address.rest:
        return address
    path: Tokens = (*address.bare_host[:-2], "!", *address.user)
    here = tokenise(place.host)
    if here and _starts_with(path, (*here, "!")):
        return _beyond(path[len(here) + 1 :], here)
    relay = tokenise(place.uucp_relay)
    if ":" in relay[1:-1] and relay[0] != "[":  # mailer:host: the host alone
        relay = relay[relay.index(":", 1) + 1 :]
    return Focus(path, relay or LOCAL)


def _beyond(path: Tokens, here: Tokens) -> Focus:
    """The address that a neighbour is to find behind its own name."""
    if "!" in path[1:-1]:
        bang = path.index("!", 1)
        if bang == 1:
            return Focus(path[2:], (path[0], ".", "UUCP", "."))
        if path[1] == ".":
            return Focus(path[bang + 1 :], path[:bang])
    return Focus(path, (*here, ".", "UUCP", "."))


def bang_path(address: Focus, names: Names, *, strips_ours: bool = True) -> Tokens:
    """The address as a bang path; a name at our own host is just the name."""
    if address.host is None:
        return address.user
    host = address.bare_host
    if strips_ours and names.is_local(host):
        return address.user
    if len(host) == 3 and is_uucp(address):
        host = host[:1]
    return (*host, "!", *address.user)


def _bang_path_from_us(address: Focus, place: Place) -> Focus:
    """The address as `ours!theirs!name`: the way back for whoever is behind us.

    What is behind the neighbour that gets it is written from there on.
    """
    if _is_empty_list(address):
        return Focus(())
    path = bang_path(address, place.names)
    here = tokenise(place.host)
    if here and _starts_with(path, (*here, "!")):
        behind = path[len(here) + 1 :]
        return Focus(behind if "!" in behind[1:-1] else path)
    return Focus((*place.names.own_tokens, "!", *path))


def _starts_with(path: Tokens, start: Tokens) -> bool:
    lower = tuple(token.lower() for token in path[: len(start)])
    return len(path) > len(start) and lower == tuple(token.lower() for token in start)


def _is_empty_list(address: Focus) -> bool:
    return address.host == () and address.user == (":", ";")


# --- recipients in the envelope


@ruleset("EnvToL")
def recipient_at_home(address: Focus, place: Place) -> Focus:
    """A recipient for a mailer on this machine: the name alone."""
    return Focus(address.user) if address.user else address


@ruleset("EnvToSMTP")
def recipient_by_domain(address: Focus, place: Place) -> Focus:
    """A recipient for a mailer that knows domains."""
    return at_ours(qualified(without_pseudo_domain(address, place), place), place)


def recipient_for_relay(address: Focus, place: Place) -> Focus:
    """A recipient for a relay, which is given what we were given."""
    return qualified(address, place)


@ruleset("EnvToU")
def recipient_by_bang_path(address: Focus, place: Place) -> Focus:
    """A recipient for a mailer that knows bang paths only."""
    return Focus(() if _is_empty_list(address) else bang_path(address, place.names))


# --- senders, and recipients in the header, of mailers that know bang paths only


@ruleset("FromU")
def sender_by_bang_path(address: Focus, place: Place) -> Focus:
    """A sender, in the header and in the envelope."""
    return Focus(NOBODY) if address.is_null else _bang_path_from_us(address, place)


@ruleset("HdrToU")
def header_recipient_by_bang_path(address: Focus, place: Place) -> Focus:
    """A recipient in the header."""
    return _bang_path_from_us(address, place)


# --- writing it out


def written(address: Focus, place: Place) -> Tokens:
    """The address as it is written outside (ruleset 4)."""
    place.trail.enter("final", address.tokens)
    row = final(at_ours(address, place), bang_paths=place.names.bang_paths)
    row = _without_doubled_host(row, place.names)
    place.trail.leave("final", row)
    return row


def _without_doubled_host(row: Tokens, names: Names) -> Tokens:
    """`joe%ours@also-ours` is joe@ours, however often it has been written."""
    while "@" in row:
        at = len(row) - 1 - row[::-1].index("@")
        percents = [place for place in range(1, at) if row[place] == "%"]
        if not percents or not names.is_local(row[at + 1 :]):
            break
        host = row[percents[-1] + 1 : at]
        if not names.is_local(host):
            break
        row = (*row[: percents[-1]], "@", *host)
    return row
