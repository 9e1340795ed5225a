"""`relaynode explain`: each look-up that mail for an address takes, and where it ends.

First what the tables say of the address, as `sendmail -bt` would (`/parse`); then, if it is local,
what its name stands for, and where each recipient's mail goes. The network is left alone: that
the DNS will be asked for mail exchangers is said, not done.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from relaynode.config.loader import find, load
from relaynode.errors import EX_DATAERR, EX_OK
from relaynode.links.ways import Ways
from relaynode.mailers.users import Users
from relaynode.neighbours import load_neighbours
from relaynode.policy.expand import decide
from relaynode.policy.rewrite import rewrite
from relaynode.policy.role import Role
from relaynode.queue.servers import NoServers
from relaynode.rules import Rules

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from relaynode.policy.route import Decision
    from relaynode.policy.trail import Step


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, TableError."""
    config = load(find(arguments.config))
    users = Users(config.mailbox, frozenset(config.file.local.users))
    rules = Rules(config, users)
    ways = Ways(config, rules, users, load_neighbours(config), lambda: 0.0, NoServers())
    told = partial(_told, ways=ways, sender=arguments.sender)
    explained = [_explain(address, rules, told) for address in arguments.addresses]
    if arguments.json:
        print(json.dumps(explained, indent=2))
    else:
        for one in explained:
            _print(one)
    return EX_OK if all(one["trail"] for one in explained) else EX_DATAERR


def _explain(
    address: str, rules: Rules, told: Callable[[Decision], dict[str, Any]]
) -> dict[str, Any]:
    decision = rules.routing.route(address)
    found: dict[str, Any] = {"address": address, **told(decision)}
    if decision.route.status is not None:
        found["refused"] = str(decision.route.status)
    if decision.route.mailer == "local":
        found.update(_expanded(address, rules, told))
    found["as_sender"] = {
        role.value: rewrite(rules.masquerade, address, role).result
        for role in (Role.HEADER_SENDER, Role.ENVELOPE_SENDER)
    }
    return found


def _expanded(
    address: str, rules: Rules, told: Callable[[Decision], dict[str, Any]]
) -> dict[str, Any]:
    """What a local name stands for."""
    expansion = rules.expander.expand(address)
    found: dict[str, Any] = {
        "expansion": [_step(step) for step in expansion.trail],
        "recipients": [
            {"recipient": recipient.address, **told(decide(rules.routing, recipient))}
            for recipient in expansion.recipients
        ],
    }
    if expansion.refusal is not None:
        found["refused"] = str(expansion.refusal)
    return found


def _told(decision: Decision, ways: Ways, sender: str) -> dict[str, Any]:
    route = decision.route
    way = ways.way_of(route, sender)
    return {
        "trail": [_step(step) for step in decision.trail],
        "route": str(route),
        "mailer": route.mailer,
        "host": route.host,
        "user": route.user,
        "way": ways.told(way),
        "link": ways.link_of(way),
    }


def _step(step: Step) -> dict[str, str]:
    return {"question": step.question, "answer": step.answer, "place": step.place}


def _print(one: dict[str, Any]) -> None:
    print(one["address"])
    _print_route(one, "  ")
    for step in one.get("expansion", ()):
        print(f"  {_shown(step)}")
    for recipient in one.get("recipients", ()):
        print(f"  {recipient['recipient']}")
        _print_route(recipient, "    ")
    if "refused" in one:
        print(f"  = refused: {one['refused']}")
    header, envelope = one["as_sender"].values()
    print(f"  as sender: {header} in the header, {envelope} in the envelope")


def _print_route(one: dict[str, Any], indent: str) -> None:
    for step in one["trail"]:
        print(f"{indent}{_shown(step)}")
    link = f", over link {one['link']}" if one["link"] else ""
    print(f"{indent}= {one['route']}{link}")
    if one["way"]:
        print(f"{indent}  by {one['way']}")


def _shown(step: dict[str, str]) -> str:
    place = f"   [{step['place']}]" if step["place"] else ""
    return f"{step['question']}: {step['answer']}{place}"
