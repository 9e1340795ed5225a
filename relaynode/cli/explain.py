"""`relaynode explain`: each look-up that mail for an address takes, and where it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relaynode.config.loader import find, load
from relaynode.errors import EX_DATAERR, EX_OK, AddressError
from relaynode.links.ways import Ways
from relaynode.mail.address import parse_path
from relaynode.mailers.users import Users
from relaynode.policy.rewrite import Role, rewrite
from relaynode.rules import Rules

if TYPE_CHECKING:
    import argparse

    from relaynode.policy.trail import Step


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, TableError."""
    config = load(find(arguments.config))
    users = Users(config.mailbox, frozenset(config.file.local.users))
    rules = Rules(config, users)
    ways = Ways(config, rules, users, lambda: 0.0)
    explained = [_explain(address, rules, ways) for address in arguments.addresses]
    if arguments.json:
        print(json.dumps(explained, indent=2))
    else:
        for one in explained:
            _print(one)
    return EX_DATAERR if any("error" in one for one in explained) else EX_OK


def _explain(address: str, rules: Rules, ways: Ways) -> dict[str, Any]:
    try:
        path = parse_path(address, allow_utf8=True)
    except AddressError as error:
        return {"address": address, "error": str(error)}
    if not path:
        return {"address": address, "error": "the null path is nobody's address"}
    expansion = rules.expander.expand(path)
    found: dict[str, Any] = {
        "address": address,
        "expansion": [_step(step) for step in expansion.trail],
        "recipients": [],
    }
    if expansion.refusal is not None:
        found["refused"] = str(expansion.refusal)
    for recipient in expansion.recipients:
        decision = rules.routing.route(recipient.address)
        way = ways.way_of(decision.route)
        found["recipients"].append(
            {
                "recipient": recipient.address,
                "trail": [_step(step) for step in decision.trail],
                "route": str(decision.route),
                "mailer": decision.route.mailer,
                "host": decision.route.host,
                "user": decision.route.address,
                "link": ways.link_of(way),
            }
        )
    found["as_sender"] = {
        role.value: rewrite(rules.masquerade, path, role).result
        for role in (Role.HEADER_SENDER, Role.ENVELOPE_SENDER)
    }
    return found


def _step(step: Step) -> dict[str, str]:
    return {"question": step.question, "answer": step.answer, "place": step.place}


def _print(one: dict[str, Any]) -> None:
    print(one["address"])
    if "error" in one:
        print(f"  no address: {one['error']}")
        return
    for step in one["expansion"]:
        print(f"  {_shown(step)}")
    if "refused" in one:
        print(f"  = refused: {one['refused']}")
    for recipient in one["recipients"]:
        print(f"  {recipient['recipient']}")
        for step in recipient["trail"]:
            print(f"    {_shown(step)}")
        link = f", over link {recipient['link']}" if recipient["link"] else ""
        print(f"    = {recipient['route']}{link}")
    header, envelope = one["as_sender"].values()
    print(f"  as sender: {header} in the header, {envelope} in the envelope")


def _shown(step: dict[str, str]) -> str:
    place = f"   [{step['place']}]" if step["place"] else ""
    return f"{step['question']}: {step['answer']}{place}"
