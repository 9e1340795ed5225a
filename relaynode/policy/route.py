"""Where an address goes: mailer, host and user.

`parsing.py` takes the decision, by what is in `routing_settings.py`; here is how it is asked, and
what it answers. Aliases are not seen here: they are expanded once, when a message is accepted
(`expand.py`). Routes are decided again at each attempt, so that a changed table moves queued mail.
The names of the rulesets in the trail are sendmail's, whose decisions these are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from relaynode.mail.status import Status
from relaynode.policy.canonify import Focus, canonify, final
from relaynode.policy.forms import Place, written
from relaynode.policy.known import Known
from relaynode.policy.mailer_forms import KINDS
from relaynode.policy.parsing import Parsing
from relaynode.policy.refusal import status_of
from relaynode.policy.routing_settings import RoutingSettings
from relaynode.policy.tokens import MAX_ADDRESS_CHARS, Tokens, join, tokenise
from relaynode.policy.trail import Passage, Step, Trail
from relaynode.policy.triple import Triple, error

_INCLUDE = ":include:"


@dataclass(frozen=True, slots=True)
class Route:
    """The way for one recipient.

    `mailer`: a name of `forms.KINDS`, or "error", "discard", "*file*", "*include*". `host`: for the
    SMTP and UUCP mailers the next hop as written ("relay.example.net", "[192.0.2.1]:2525"; a whole
    name ends in a dot). `user`: the recipient that the mailer is given; for local it is a user's
    name. `smart_host`: the [smart_host.NAME] that `host` stands for, or "". `by`: what decided, see
    Triple. `status`: for mailer error, what the sender is told; `host` and `user` are then status
    and text as a table has them.
    `stays`: a local name that is never given to MAIL_HUB and its kin.
    """

    mailer: str
    host: str
    user: str
    smart_host: str = ""
    status: Status | None = None
    stays: bool = False
    by: str = field(default="", compare=False)

    def for_user(self, user: str) -> Route:
        """The same way for another recipient."""
        return Route(
            self.mailer, self.host, user, self.smart_host, self.status, self.stays, self.by
        )

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
class Routing(RoutingSettings):
    """What routing knows, asked. `known`: routes found lately under these settings."""

    known: Known[str, Route] = field(default_factory=lambda: Known(4096), compare=False, repr=False)

    def is_local(self, domain: str) -> bool:
        """Is the domain ours ("" is)?"""
        return not domain or domain.lower().rstrip(".") in self.names.local

    def route(self, address: str) -> Decision:
        """The way for `address` ("local@domain" or "local"). Never raises."""
        trail = Trail()
        if len(address) > MAX_ADDRESS_CHARS:
            found = error(tokenise("5.1.3"), ("553 Address too long",))
        else:
            found = self.parse(canonify(self.names, tokenise(address), trail), trail)
        route = self.finish(found, trail)
        return Decision(route, tuple(trail.steps), tuple(trail.passages), found)

    def parse(self, address: Focus, trail: Trail) -> Triple:
        """The triple for a canonical address (ruleset 0)."""
        return Parsing(self, trail).parse(address)

    def recurse(self, row: Tokens, trail: Trail) -> Triple:
        """The triple for an address as it is written (rulesets 3 and 0)."""
        return Parsing(self, trail).recurse(row)

    def finish(self, found: Triple, trail: Trail | None = None) -> Route:
        """A triple in the form that its mailer wants."""
        trail = trail or Trail()
        if found.mailer == "error":
            word, text = join(found.host), join(found.user.tokens, " ")
            return Route("error", word, text, status=status_of(word, text))
        if found.mailer == "local":
            return self._finish_at_home(found, trail)
        if found.mailer not in KINDS:
            return _without_kind(found)
        route = replace(self._written(found.mailer, found, found.user, trail), by=found.by)
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


def unquote(local: str) -> str:
    """A local part without the quotes that only the wire needs."""
    if len(local) >= 2 and local[0] == local[-1] == '"':
        return re.sub(r"\\(.)", r"\1", local[1:-1])
    return local
