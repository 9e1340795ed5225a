"""Kind `route`: the last line of `/parse`, and what ruleset 0 gave."""

from __future__ import annotations

from typing import Any

from relaynode.policy.tokens import show


def answer(site: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Mailer, host, user, and the triple as the address test mode shows it."""
    decision = site.rules.routing.route(case["input"])
    route = decision.route
    return {
        "mailer": "*error*" if route.mailer == "error" else route.mailer,
        "host": route.host or None,
        "user": route.user,
        "line": str(route),
        "ruleset0": show(decision.triple.tokens),
    }


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """The same as recorded."""
    names = ("mailer", "host", "user", "line", "ruleset0")
    return {name: case["expect"].get(name) for name in names}
