"""What a table or a relay setting says: mailer, host and user.

    smtp:[gw.example.net]     that mailer, that host, the user as it was
    relay:box@gw.example.net  and another user
    local:joe                 a mailbox here
    error:5.7.1:550 Closed    a refusal
    gw.example.net            mailer relay

sendmail calls it the triple, and the rules here MailerToTriple and CanonLocal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.policy.canonify import Focus, final
from relaynode.policy.tokens import Tokens, dequote, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.names import Names
    from relaynode.policy.trail import Trail


@dataclass(frozen=True, slots=True)
class Triple:
    """A resolved address. For mailer "error", `host` is the status and `user` holds the text.

    `by`: "smart host" if that is where all goes that no table sends elsewhere, "domain" if there is
    none and the address itself says where, "" if a table does.
    """

    mailer: str
    host: Tokens
    user: Focus
    by: str = field(default="", compare=False)

    @property
    def tokens(self) -> Tokens:
        """As the address test mode shows it."""
        host = ("$@", *self.host) if self.host else ()
        return ("$#", self.mailer, *host, "$:", *self.user.tokens)


def error(status: Tokens, text: Tokens) -> Triple:
    """A refusal. `status`: D.S.N or a sysexits word, or nothing."""
    return Triple("error", status, Focus(text))


def triple(
    names: Names,
    value: Tokens,
    address: Focus,
    trail: Trail,
    recurse: Callable[[Tokens], Triple],
) -> Triple | Focus:
    """What `value` makes of an address: a triple, or the address itself if it says nothing.

    `recurse` resolves an address that turns up inside the local part of another.
    """
    trail.enter("MailerToTriple", ("<", *value, ">", *address.tokens))
    found = _triple(names, value, address, trail, recurse)
    trail.leave("MailerToTriple", found.tokens)
    return found


def names_mailer(value: Tokens) -> bool:
    """Does a value have the form `mailer:something`?"""
    return len(value) > 1 and value[0] != "[" and value[1] == ":"


def _triple(
    names: Names,
    value: Tokens,
    address: Focus,
    trail: Trail,
    recurse: Callable[[Tokens], Triple],
) -> Triple | Focus:
    if not value or (len(value) > 0 and names.is_local(value)):
        return address
    if not names_mailer(value):
        return Triple("relay", value, address)
    mailer, rest = value[0].lower(), value[2:]
    if mailer == "error" and rest:
        return _refusal(rest)
    if mailer == "local":
        return _local(names, rest, address, trail, recurse)
    if "@" in rest[1:-1] and address.host is not None:
        at = rest.index("@", 1)
        host = rest[at + 1 :]
        return Triple(mailer, host, Focus(rest[:at], _without_port(host)))
    return Triple(mailer, rest, address)


def _without_port(host: Tokens) -> Tokens:
    """A port, which sendmail does not know here, is where to call and no part of a domain."""
    has_port = len(host) > 2 and host[-2] == ":" and host[-1].isdecimal()
    return host[:-2] if has_port else host


def _refusal(rest: Tokens) -> Triple:
    if len(rest) > 6 and rest[1] == rest[3] == "." and rest[5] == ":":
        return error(rest[:5], rest[6:])
    if len(rest) > 2 and rest[1] == ":":
        return error((dequote(rest[0]),), rest[2:])
    return error((), rest)


def _local(
    names: Names,
    rest: Tokens,
    address: Focus,
    trail: Trail,
    recurse: Callable[[Tokens], Triple],
) -> Triple:
    """`local:user`: the user, and the address as it was in the host's place."""
    trail.enter("CanonLocal", ("<", *rest, ">", *address.tokens))
    if address.host is not None and any(t in names.separators for t in address.user[1:-1]):
        found = recurse(address.user)
    else:
        original = final(address.at(address.bare_host) if address.host else address)
        user = rest[: rest.index("@", 1)] if "@" in rest[1:-1] else rest
        found = Triple("local", original, Focus(user or address.user))
    trail.leave("CanonLocal", found.tokens)
    return found


def text_of(tokens: Tokens) -> str:
    """The words of a refusal."""
    return join(tokens, " ")
