"""Where an address goes: mailer, host and user, in sendmail's order.

1. An address literal: straight there, or to the smart host.
2. The virtusertable, for domains of ours; what it gives starts again.
3. A domain of ours, or none: mailer local.
4. The mailertable, which is never asked about domains of ours.
5. UUCP: neighbours we know, then UUCP_RELAY.
6. The smart host, if there is one.
7. SMTP to the domain itself.

Aliases are not seen here: they are expanded once, when a message is accepted (`expand.py`).
Routes are decided again at each attempt, so that a changed table moves queued mail. The names of
the rulesets in the trail are sendmail's, whose decisions these are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relaynode.mail.status import Status
from relaynode.policy.canonify import NULL, Focus, canonify, final, is_uucp
from relaynode.policy.forms import Place, written
from relaynode.policy.mailer_forms import KINDS
from relaynode.policy.syntax import BadAddress, resolve_local
from relaynode.policy.tokens import Tokens, dequote, join, key_of, tokenise
from relaynode.policy.trail import Passage, Step, Trail
from relaynode.policy.triple import Triple, error, names_mailer, triple
from relaynode.tables.mailertable import Mailertable
from relaynode.tables.virtusertable import Virtusertable

if TYPE_CHECKING:
    from collections.abc import Set

    from relaynode.policy.names import Names

_INCLUDE = ":include:"
MAX_DEPTH = 12
"""How often the virtusertable may lead back to itself."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way for one recipient.

    `mailer`: a name of `forms.KINDS`, or "error", "discard", "*file*", "*include*". `host`: for the
    SMTP and UUCP mailers the next hop as written ("relay.example.net", "[192.0.2.1]:2525"; a whole
    name ends in a dot). `user`: the recipient that the mailer is given; for local it is a user's
    name. `smart_host`: the [smart_host.NAME] that `host` stands for, or "". `status`: for mailer
    error, what the sender is told; `host` and `user` are then status and text as a table has them.
    `stays`: a local name that is never given to MAIL_HUB and its kin.
    """

    mailer: str
    host: str
    user: str
    smart_host: str = ""
    status: Status | None = None
    stays: bool = False

    def __str__(self) -> str:
        mailer = "*error*" if self.mailer == "error" else self.mailer
        host = f", host {self.host}" if self.host else ""
        return f"mailer {mailer}{host}, user {self.user}"


@dataclass(frozen=True, slots=True)
class Decision:
    """A route and what led to it: look-ups, and the passages through the rules.

    `triple` is what parsing gave, before the mailer's own form of the address.
    """

    route: Route
    trail: tuple[Step, ...]
    passages: tuple[Passage, ...] = ()
    triple: Triple | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relays:
    """Values of the relay settings, written as in a mailertable; "" for none."""

    smart_host: str = ""
    uucp_relay: str = ""
    mail_hub: str = ""
    local_relay: str = ""
    luser_relay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """What routing knows.

    `smart_host_name`: the [smart_host.NAME] behind the smart host, or "". `neighbours`: the UUCP
    mailer by node name, in lower case. `uucp_mailer`: UUCP nodes that nobody else takes are called
    directly. `local_users`: names that never leave this host (LOCAL_USER). `stickyhost`: see
    sendmail's FEATURE of that name.
    """

    names: Names
    mailertable: Mailertable = field(default_factory=lambda: Mailertable("mailertable", {}))
    virtusertable: Virtusertable = field(default_factory=lambda: Virtusertable("virtusertable", {}))
    relays: Relays = Relays()
    smart_host_name: str = ""
    neighbours: dict[str, str] = field(default_factory=dict)
    uucp_mailer: bool = False
    local_users: Set[str] = frozenset()
    stickyhost: bool = False

    def is_local(self, domain: str) -> bool:
        """Is the domain ours ("" is)?"""
        return not domain or domain.lower().rstrip(".") in self.names.local

    def route(self, address: str) -> Decision:
        """The way for `address` ("local@domain" or "local"). Never raises."""
        trail = Trail()
        found = self.parse(canonify(self.names, tokenise(address), trail), trail)
        route = self.finish(found, trail)
        return Decision(route, tuple(trail.steps), tuple(trail.passages), found)

    def parse(self, address: Focus, trail: Trail, depth: int = 0) -> Triple:
        """The triple for a canonical address (ruleset 0)."""
        trail.enter("parse", address.tokens)
        found = self._parse(address, trail, depth)
        trail.leave("parse", found.tokens)
        return found

    def finish(self, found: Triple, trail: Trail | None = None) -> Route:
        """A triple in the form that its mailer wants."""
        trail = trail or Trail()
        if found.mailer == "error":
            return _refusal(found)
        if found.mailer == "local":
            return self._finish_at_home(found, trail)
        if found.mailer not in KINDS:
            return _without_kind(found)
        route = self._written(found.mailer, found, found.user, trail)
        if f"{route.mailer}:{route.host}" == self.relays.smart_host.lower():
            return replace(route, smart_host=self.smart_host_name)
        return route

    def _finish_at_home(self, found: Triple, trail: Trail) -> Route:
        """A name here; a name that is a program, a file or a list of addresses."""
        user = found.user.user
        stays = user[:1] == ("@",)
        address = Focus(user[1:] if stays else user)
        text = join(address.user)
        mailer = _special(text)
        if mailer == "*include*":
            file = text.removeprefix('"')[len(_INCLUDE) :].removesuffix('"')
            return Route(mailer, "", file)
        if mailer != "*file*":
            return replace(self._written(mailer, found, address, trail), stays=stays)
        for name in ("2", "final"):
            trail.enter(name, address.user)
            trail.leave(name, address.user)
        return Route(mailer, join(found.host), text)

    def _written(self, mailer: str, found: Triple, address: Focus, trail: Trail) -> Route:
        kind = KINDS[mailer]
        host = join(found.host)
        host = host.lower() if kind.folds_host else host
        place = Place(self.names, host, self.relays.uucp_relay, trail=trail)
        trail.enter("2", address.tokens)
        trail.leave("2", address.tokens)
        user = join(written(kind.recipient(address, place), place))
        return Route(mailer, host, user.lower() if kind.folds_user else user)

    # --- ruleset 0 by its parts

    def _parse(self, address: Focus, trail: Trail, depth: int) -> Triple:
        resolved = resolve_local(self.names, address, trail)
        if isinstance(resolved, BadAddress):
            return error(tokenise(resolved.code), (f'"{resolved.text}"',))
        if resolved == NULL:
            return Triple("local", (), NULL)
        trail.enter("Parse1", resolved.tokens)
        found = self._parse_host(resolved, trail, depth)
        trail.leave("Parse1", found.tokens)
        return found

    def _parse_host(self, address: Focus, trail: Trail, depth: int) -> Triple:
        host = address.host
        if host is None:
            trail.note("domain", "none")
            return self._local(address)
        if host[:1] == ("[",) and host[-1:] == ("]",):
            return self._literal(address, host, trail, depth)
        virtual = self._virtual(address, trail, depth)
        if virtual is not None:
            return virtual
        domain = join(address.bare_host)
        if address.is_final and self.names.is_local(address.bare_host):
            trail.note(f"is {domain} ours", "yes")
            return self._at_home(address, trail, depth)
        trail.note(f"is {domain} ours", "no")
        found = self._by_mailertable(address, trail, depth)
        if isinstance(found, Focus) and is_uucp(address):
            found = self._by_uucp(address, trail, depth)
        if isinstance(found, Focus):
            found = self._by_smart_host(address, trail, depth)
        return found if isinstance(found, Triple) else Triple("esmtp", host, address)

    def _local(self, address: Focus) -> Triple:
        if join(address.user).lower() in self.local_users:
            return Triple("local", (), Focus(("@", *address.user)))
        return Triple("local", (), Focus(address.user))

    def _at_home(self, address: Focus, trail: Trail, depth: int) -> Triple:
        """A name at one of our hosts. With stickyhost such a name goes to the hub, if there is
        one, before it is expanded."""
        if not self.stickyhost:
            return self._local(address)
        if self.relays.mail_hub:
            found = self._triple(self.relays.mail_hub, address, trail, depth)
            if isinstance(found, Triple):
                return found
        if "+" in address.user[1:]:
            return Triple("local", (), Focus(address.user))
        return Triple("local", (), Focus(("@", *address.user)))

    def _literal(self, address: Focus, host: Tokens, trail: Trail, depth: int) -> Triple:
        """An address literal; the mailertable never sees it."""
        literal = join(host)
        smart_host = tokenise(self.relays.smart_host)
        if not smart_host or self.names.is_local(smart_host):
            trail.note(literal, "an address: straight there")
            return Triple("esmtp", host, address)
        trail.note(literal, f"an address: by the smart host {self.relays.smart_host}")
        if names_mailer(smart_host):
            if "@" not in smart_host and smart_host[0].lower() not in ("local", "error"):
                return Triple(smart_host[0].lower(), smart_host[2:], address)
            found = self._triple(self.relays.smart_host, address, trail, depth)
            return found if isinstance(found, Triple) else Triple("esmtp", host, address)
        return Triple("esmtp", smart_host, address)

    def _triple(
        self, value: str | Tokens, address: Focus, trail: Trail, depth: int
    ) -> Triple | Focus:
        row = tokenise(value) if isinstance(value, str) else value
        return triple(
            self.names, row, address, trail, lambda inner: self.recurse(inner, trail, depth + 1)
        )

    def recurse(self, row: Tokens, trail: Trail, depth: int = 0) -> Triple:
        """Parse an address that another turned out to be."""
        trail.enter("Recurse", row)
        found = self.parse(canonify(self.names, row, trail), trail, depth)
        trail.leave("Recurse", found.tokens)
        return found

    # --- virtusertable

    def _virtual(self, address: Focus, trail: Trail, depth: int) -> Triple | None:
        """What the virtusertable says, or None."""
        names, domain = self.names, address.bare_host
        if not (address.is_final and (names.is_local(domain) or names.is_virtual(domain))):
            return None
        user = address.user
        plus = user.index("+", 1) if "+" in user[1:] else None
        name = key_of(user[:plus])
        detail = None if plus is None else key_of(user[plus + 1 :])
        table = self.virtusertable
        for place, key in enumerate(table.keys(name, detail, key_of(domain))):
            entry = table.entries.get(key.lower())
            trail.look_up("virtusertable", table.file, key, entry)
            if entry is not None:
                if depth >= MAX_DEPTH:
                    return _loop(key)
                arguments = _virtual_arguments(user, plus if place else None)
                value = tokenise(table.result(key, entry, arguments))
                return _virtual_refusal(value) or self.recurse(value, trail, depth + 1)
        return None

    # --- mailertable

    def _by_mailertable(self, address: Focus, trail: Trail, depth: int) -> Triple | Focus:
        table = self.mailertable
        if not table.entries:
            return address
        host = address.bare_host
        key = join(host).lower()
        entry = table.entries.get(key)
        trail.look_up("mailertable", table.file, key, entry)
        row = host if entry is None else tokenise(table.value(entry, (key,)))
        if names_mailer(row):
            return self._target(row, address, trail, depth)
        return self._by_suffix((), row, address, trail, depth)

    def _by_suffix(
        self, before: Tokens, name: Tokens, address: Focus, trail: Trail, depth: int
    ) -> Triple | Focus:
        """Try the keys `.rest` and `.` for what is left of a name (ruleset Mailertable)."""
        trail.enter("Mailertable", (*before, "<", *name, ">", *address.tokens))
        found = self._suffix(before, name, address, trail, depth)
        trail.leave("Mailertable", found.tokens)
        return found

    def _suffix(
        self, before: Tokens, name: Tokens, address: Focus, trail: Trail, depth: int
    ) -> Triple | Focus:
        row = name
        if len(name) > 2 and name[1] == ".":
            key = join(name[1:])
            row = self._entry(key, (join((*before, name[0])), name[0]), trail) or name[1:]
            if names_mailer(row):
                return self._target(row, address, trail, depth)
            before = (*before, name[0])
        if row[:1] == (".",) and len(row) > 1:
            return self._by_suffix((*before, "."), row[1:], address, trail, depth)
        found = self._entry(".", (join((*before, *row)),), trail)
        if found and names_mailer(found):
            return self._target(found, address, trail, depth)
        return address

    def _entry(self, key: str, arguments: tuple[str, ...], trail: Trail) -> Tokens | None:
        table = self.mailertable
        entry = table.entries.get(key.lower())
        trail.look_up("mailertable", table.file, key.lower(), entry)
        lower = tuple(argument.lower() for argument in arguments)
        return None if entry is None else tokenise(table.value(entry, (key.lower(), *lower)))

    def _target(self, row: Tokens, address: Focus, trail: Trail, depth: int) -> Triple | Focus:
        if len(row) < 3 and row[0].lower() not in ("local", "discard"):
            return _broken(f"mailertable: {row[0]}: names no host")
        return self._triple(row, address, trail, depth)

    # --- UUCP and the smart host

    def _by_uucp(self, address: Focus, trail: Trail, depth: int) -> Triple | Focus:
        node = join(address.bare_host[:-2])
        mailer = self.neighbours.get(node.lower())
        if mailer is not None:
            trail.note(f"UUCP neighbour {node}", mailer)
            return Triple(mailer, address.bare_host[:-2], address)
        if self.relays.uucp_relay:
            trail.note("UUCP relay", self.relays.uucp_relay)
            return self._triple(self.relays.uucp_relay, address, trail, depth)
        if self.uucp_mailer and self.names.bang_paths:
            trail.note(f"UUCP node {node}", "called directly")
            return Triple("uucp-old", address.bare_host[:-2], address)
        return address

    def _by_smart_host(self, address: Focus, trail: Trail, depth: int) -> Triple | Focus:
        value = self.relays.smart_host
        named = value
        if self.smart_host_name:
            named = f"{self.smart_host_name} ({value.partition(':')[2]})"
        trail.note("smart host", named or "none")
        return self._triple(value, address, trail, depth)


def _special(name: str) -> str:
    """The mailer for a local name, which may be a program, a file or a list of addresses."""
    bare = name.removeprefix('"')
    if bare.startswith("|"):
        return "prog"
    if bare.startswith("/"):
        return "*file*"
    return "*include*" if bare[: len(_INCLUDE)].lower() == _INCLUDE else "local"


def _without_kind(found: Triple) -> Route:
    if found.mailer == "discard":
        return Route("discard", join(found.host), join(final(found.user)))
    text = f"unknown mailer {found.mailer}"
    return Route("error", "", "", status=Status(451, "4.3.5", text))


def _broken(text: str) -> Triple:
    """Mail waits for the administrator to mend a table."""
    return error(tokenise("4.3.5"), (f"451 {text}",))


def _loop(key: str) -> Triple:
    return _broken(f"virtusertable: {key} leads back to itself")


def _virtual_arguments(user: Tokens, plus: int | None) -> tuple[str, ...]:
    """%1, %2, %3: user, detail, and the detail with its plus sign."""
    if plus is None:
        return (join(user),)
    detail = join(user[plus + 1 :])
    return join(user[:plus]), detail, f"+{detail}"


def _virtual_refusal(value: Tokens) -> Triple | None:
    """`error:D.S.N:text` or `error:keyword text`."""
    if value[:2] != ("error", ":"):
        return None
    rest = value[2:]
    if len(rest) > 6 and rest[1] == rest[3] == "." and rest[5] == ":":
        return error(rest[:5], rest[6:])
    return error((dequote(rest[0]),), rest[1:]) if len(rest) > 1 else None


_KEYWORDS = {
    "usage": (501, "5.5.2"),
    "nouser": (550, "5.1.1"),
    "nohost": (550, "5.1.2"),
    "unavailable": (554, "5.0.0"),
    "software": (554, "5.3.5"),
    "tempfail": (450, "4.0.0"),
    "protocol": (554, "5.5.0"),
    "config": (554, "5.3.5"),
}
"""The words of `error:keyword:text` (sysexits(3) names) and what they stand for."""

_ENHANCED = re.compile(r"([45])\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_CODE = re.compile(r"([45][0-9][0-9])(?:[ -]+|\Z)")


def _refusal(found: Triple) -> Route:
    status, text = join(found.host), join(found.user.tokens, " ")
    return Route("error", status, text, status=_error_status(status, text.strip('" ')))


def _error_status(word: str, text: str) -> Status:
    """What the sender is told. The text may begin with a reply code."""
    code, enhanced = _KEYWORDS.get(word.lower(), (554, "5.0.0"))
    if is_enhanced := _ENHANCED.match(word):
        code, enhanced = (450 if is_enhanced[1] == "4" else 550), word
    if written := _CODE.match(text):
        code, text = int(written[1]), text[written.end() :]
        if enhanced[0] != written[1][0]:
            enhanced = f"{written[1][0]}.0.0"
    return Status(code, enhanced, text.strip() or "Mail for this address is refused")


def unquote(local: str) -> str:
    """A local part without the quotes that only the wire needs."""
    if len(local) >= 2 and local[0] == local[-1] == '"':
        return re.sub(r"\\(.)", r"\1", local[1:-1])
    return local
