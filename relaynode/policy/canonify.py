"""Any way to write an address brought into one form: a name, and the host it is at.

    Joe <joe@example.org>      joe < @ example . org . >
    <@a,@b:joe@c.example>      joe < @ c . example . >
    node!joe                   joe < @ node . UUCP . >
    joe%inner@outer            joe % inner < @ outer >
    joe                        joe

The form is sendmail's (its ruleset 3, and 4 for the way back), and so are the rules: `@` binds
closer than `!`, `!` closer than `%`. A final dot says that the host is a whole name. The DNS is
never asked: with the line down it could not answer, and with the line up it would cost time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from relaynode.policy.tokens import Tokens, tokenise

if TYPE_CHECKING:
    from relaynode.policy.names import Names
    from relaynode.policy.trail import Trail


@dataclass(frozen=True, slots=True)
class Focus:
    """An address with its host in focus: `user < @ host > rest`.

    `host` is None where there is no host; a `user` of nothing at an empty host is the null path.
    """

    user: Tokens
    host: Tokens | None = None
    rest: Tokens = ()

    @property
    def tokens(self) -> Tokens:
        """All of it in one row."""
        if self.host is None:
            return self.user
        return (*self.user, "<", "@", *self.host, ">", *self.rest)

    @property
    def is_final(self) -> bool:
        """Does the host end in a dot: is it a whole name?"""
        return self.host is not None and self.host[-1:] == (".",)

    @property
    def bare_host(self) -> Tokens:
        """The host without its final dot."""
        host = self.host or ()
        return host[:-1] if self.is_final else host

    @property
    def is_null(self) -> bool:
        """Is it the null path, `<@>`?"""
        return not self.user and self.host == ()

    def at(self, host: Tokens | None) -> Focus:
        """The same name elsewhere."""
        return Focus(self.user, host, self.rest if host is not None else ())

    @property
    def is_local_marked(self) -> bool:
        """Does it stand at LOCAL?"""
        return self.host == LOCAL


NULL = Focus((), ())
LOCAL: Tokens = ("*LOCAL*",)
"""The host of a name that has none, until it is known what it is to be."""

_UUCP = (".", "UUCP")


def focus(tokens: Tokens) -> Focus:
    """A row of tokens that may have a focus in it already."""
    for start in range(len(tokens) - 1):
        if tokens[start] == "<" and tokens[start + 1] == "@" and ">" in tokens[start:]:
            end = tokens.index(">", start)
            return Focus(tokens[:start], tokens[start + 2 : end], tokens[end + 1 :])
    return Focus(tokens)


def canonify(names: Names, tokens: Tokens, trail: Trail) -> Focus:
    """The address in `tokens`, whatever way it is written, with its host in focus."""
    trail.enter("canonify", tokens)
    found = _focused(names, tokens, trail)
    trail.leave("canonify", found.tokens)
    return found


def canonify_text(names: Names, text: str, trail: Trail) -> Focus:
    """`canonify` for a text that is not divided into tokens yet."""
    return canonify(names, tokenise(text), trail)


def final(address: Focus, *, bang_paths: bool = True) -> Tokens:
    """The address as it is written outside: no focus, no final dot, `node!joe` for UUCP."""
    if address.host == ():
        return (*address.user[:-1], ":") if address.user[-1:] == (";",) else address.user
    if address.host is None:
        return address.user
    row = (*address.user, "@", *address.bare_host, *address.rest)
    is_node = len(address.bare_host) == 3 and _is_uucp(address.bare_host)
    if bang_paths and is_node and address.user:
        return (address.bare_host[0], "!", *address.user)
    return row


def _focused(names: Names, tokens: Tokens, trail: Trail) -> Focus:
    if not tokens:
        return NULL
    row = _without_group(tokens)
    if isinstance(row, Focus):
        return row
    row = _innermost(row)
    if not row:
        return NULL
    row = _without_route(row)
    return _canonify_host(names, _find_host(names, row), trail)


def _without_group(tokens: Tokens) -> Tokens | Focus:
    """`list: a, b;` without its frame; an empty list comes back as a focus of its own."""
    row = tokens
    if _has_group_name(row):
        row = row[row.index(":") + 1 :]
    while row[-1:] == (";",):
        row = row[:-1]
    return row or Focus((":", ";"), ())


def _has_group_name(row: Tokens) -> bool:
    """A colon divides a list's name from its members, where nothing else explains it."""
    if ":" not in row:
        return False
    if row[-1] == "]" and "[" in row[row.index(":") :]:
        return True
    if row[0] == "@" or tuple(map(str.lower, row[:3])) == (":", "include", ":"):
        return False
    if "<" in row and ">" in row[row.index("<") :]:
        return False
    if any(a == b == ":" for a, b in pairwise(row)):
        return False
    return not ("[" in row and row[row.index("[") + 1 :][:1] == ("IPv6",) and row[-1] == "]")


def _innermost(row: Tokens) -> Tokens:
    """What stands in the innermost angle brackets, or all if there are none."""
    row = ("<", *row, ">")
    while "<" in row[1:]:
        row = row[row.index("<", 1) :]
    return row[1 : row.index(">")]


def _without_route(row: Tokens) -> Tokens:
    """`@a,@b:joe@c` is for joe@c: source routes are dead (RFC 5321 appendix C)."""
    while row[0] == "@" and "," in row[2:-1]:
        row = row[row.index(",", 2) + 1 :]
    if row[0:2] == ("@", "[") and "]" in row:
        behind = row[row.index("]") + 1 :]
        if behind[:1] == (":",) and len(behind) > 1:
            row = behind[1:]
    while row[0] == "@" and ":" in row[2:-1]:
        row = row[row.index(":", 2) + 1 :]
    return row


def _find_host(names: Names, row: Tokens) -> Focus:
    if "@" in row[1:-1]:
        at = max(place for place in range(1, len(row) - 1) if row[place] == "@")
        return Focus(row[:at], row[at + 1 :])
    if names.bang_paths and "!" in row[1:-1]:
        return _bang_path(row)
    return _percent(row)


def _bang_path(row: Tokens) -> Focus:
    """`node!joe`, `host.domain!joe`, `a!b!joe`: the first host is the one to go to."""
    bang = row.index("!", 1)
    if bang > 1:
        for place in range(1, len(row) - 3):
            if row[place] == "." and row[place + 2] == "!":
                return Focus(row[place + 3 :], row[: place + 2])
    return Focus(row[bang + 1 :], (*row[:bang], *_UUCP))


def _percent(row: Tokens) -> Focus:
    """The rightmost `%` or `@` divides; those before it are `%`."""
    places = [place for place, token in enumerate(row) if token in ("%", "@")]
    if not places:
        return Focus(row)
    last = places[-1]
    user = tuple("%" if token == "@" else token for token in row[:last])
    return Focus(user, row[last + 1 :])


def _canonify_host(names: Names, address: Focus, trail: Trail) -> Focus:
    trail.enter("Canonify2", address.tokens)
    found = address if address.host is None else address.at(_whole_host(names, address.host))
    trail.leave("Canonify2", found.tokens)
    return found


def _whole_host(names: Names, host: Tokens) -> Tokens:
    """The host with a final dot if it is a whole name: ours, one with a domain, or special."""
    lower = tuple(token.lower() for token in host)
    if lower == ("localhost",) or lower in _local_forms(names):
        host = (*names.own_tokens, ".")
    if is_literal(host):
        return (*names.own_tokens, ".") if names.is_local(host) else host
    if names.bang_paths and _is_uucp(host) and names.is_uucp_node(host[:-2]):
        return uucp_host(host[:-2])
    bare = host
    while bare[-1:] == (".",):
        bare = bare[:-1]
    if bare != host or "." in bare[1:-1] or _is_known(names, bare):
        return (*bare, ".")
    return host


def _local_forms(names: Names) -> tuple[Tokens, ...]:
    parent = tokenise(names.parent_domain.lower())
    in_parent = (("localhost", ".", *parent),) if parent else ()
    return (*in_parent, ("localhost", ".", "uucp")) if names.bang_paths else in_parent


def _is_known(names: Names, host: Tokens) -> bool:
    return (
        names.is_local(host)
        or names.is_masqueraded(host)
        or names.is_virtual(host)
        or names.is_generic(host)
    )


def _is_uucp(host: Tokens) -> bool:
    return len(host) > 2 and host[-2] == "." and host[-1].upper() == "UUCP"


def uucp_host(node: Tokens) -> Tokens:
    """The whole name of a node that is reached by UUCP."""
    return (*node, *_UUCP, ".")


def is_literal(host: Tokens) -> bool:
    """Is it an address in brackets?"""
    return host[:1] == ("[",) and host[-1:] == ("]",) and len(host) > 2


def is_uucp(address: Focus) -> bool:
    """Is it at a host `node.UUCP`?"""
    return _is_uucp(address.bare_host)
