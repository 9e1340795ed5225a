"""What becomes of a local name that no alias took: details behind a plus, hubs and relays.

    joe+x   is looked up as joe+*, then as joe, and stays joe with the detail x
    joe     goes to LUSER_RELAY if there is no such user, else to MAIL_HUB or LOCAL_RELAY

This is sendmail's ruleset 5. A name may come by several times, each time a step further, and is
looked up among the aliases in between; what stood behind the plus waits in the host's place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.policy.canonify import Focus
from relaynode.policy.route import Route
from relaynode.policy.tokens import Tokens, join, tokenise
from relaynode.policy.trail import Trail
from relaynode.policy.triple import Triple, names_mailer, triple

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.route import Routing

_WILD = "*"
_ESCAPE = re.compile(r'\\(.)|"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class LocalNames:
    """Ruleset 5. `is_user`: knows the users (lower case).

    `preserve_plus_detail`: the whole of `joe+x` is the user's name. `has_dash_details`: `joe-x` is
    joe with the detail x, if there is no user `joe-x` (as with qmail).
    """

    routing: Routing
    is_user: Callable[[str], bool]
    preserve_plus_detail: bool = False
    has_dash_details: bool = False

    def next_step(self, route: Route, trail: Trail) -> Route | None:
        """Where a local name goes on to; None if it stays as it is."""
        name = tokenise(route.user)
        if not self.preserve_plus_detail:
            step = self._by_plus(name, route.host)
            if step is not None:
                return step
        relay = self._for_nobody(name, trail)
        if relay is None:
            relay = self._for_all(trail)
            if relay is not None and self.routing.relays.luser_relay:
                name = tokenise(unescaped(route.user))  # it was looked up without its quotes
        if relay is not None:
            return self._relayed(relay, name, route.host, trail)
        if not self.preserve_plus_detail and route.host.startswith("+"):
            return Route("local", route.host[1:], route.user, stays=True)
        return self._by_dash(route)

    def _by_plus(self, name: Tokens, host: str) -> Route | None:
        """`joe+x` to `joe+*` to `joe`, each an alias's name; the detail is kept as host `+x`."""
        if "+" not in name[1:]:
            return None
        plus = name.index("+", 1)
        if name[-2:] == ("+", _WILD) and len(name) > 2:
            return Route("local", host, join(name[:-2]))
        return Route("local", f"+{join(name[plus + 1 :])}", f"{join(name[:plus])}+{_WILD}")

    def _for_nobody(self, name: Tokens, trail: Trail) -> str | None:
        """LUSER_RELAY, if there is no user of that name."""
        luser_relay = self.routing.relays.luser_relay
        user = join(name[: name.index("+", 1)] if "+" in name[1:] else name)
        if not luser_relay or self.is_user(unescaped(user)):
            return None
        trail.note(f"user {user}", f"does not exist: to {luser_relay}")
        return luser_relay

    def _for_all(self, trail: Trail) -> str | None:
        """MAIL_HUB or LOCAL_RELAY."""
        relays = self.routing.relays
        for word, value in (("mail hub", relays.mail_hub), ("local relay", relays.local_relay)):
            if value:
                trail.note(word, value)
                return value
        return None

    def _relayed(self, relay: str, name: Tokens, host: str, trail: Trail) -> Route | None:
        """The name at the relay, its detail with it."""
        detail = tokenise(host) if host.startswith("+") and not self.preserve_plus_detail else ()
        value = tokenise(relay)
        if names_mailer(value):
            keeps_name = value[0].lower() in ("local", "error")
            at = None if keeps_name else value[2:]
        else:
            at = value
        found = triple(
            self.routing.names,
            value,
            Focus((*name, *detail), at),
            trail,
            lambda inner: self.routing.recurse(inner, trail),
        )
        return self.routing.finish(found) if isinstance(found, Triple) else None

    def _by_dash(self, route: Route) -> Route | None:
        """`joe-work-x` is the user with the longest name that it begins with."""
        if not self.has_dash_details or route.host or self.is_user(route.user):
            return None
        name, dash, _ = route.user.rpartition("-")
        while dash:
            if self.is_user(name):
                return Route("local", route.user[len(name) + 1 :], name, stays=True)
            name, dash, _ = name.rpartition("-")
        return None


def unescaped(user: str) -> str:
    """A local user's name without quotes and backslashes, in lower case."""
    return _ESCAPE.sub(lambda found: found[1] or "", user).lower()
