"""The argument and the replies of ETRN (RFC 1985), on the server's side."""

from __future__ import annotations

import re

from relaynode.mail.status import Status, ok

_NODE = re.compile(r"(@?)([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\.?\Z")
MAX_NODE_OCTETS = 255


def parse_node(argument: str) -> tuple[str, bool] | None:
    """The domain that is asked for in lower case, and whether all below it is, too (`@domain`).

    None if it is none. `#queue` (RFC 1985 5.3) names no queue that we have.
    """
    found = _NODE.match(argument)
    if found is None or len(argument) > MAX_NODE_OCTETS or ".." in argument:
        return None
    return found[2].lower(), bool(found[1])


def started(node: str, waiting: int) -> Status:
    """It is on its way: RFC 1985 5.1."""
    if waiting == 0:
        return Status(251, "2.0.0", f"OK, no messages waiting for node {node}")
    return Status(253, "2.0.0", f"OK, {waiting} pending messages for node {node} started")


def queued(node: str) -> Status:
    """It is queued behind what is under way."""
    return ok(f"OK, queuing for node {node} started")


def not_allowed(node: str) -> Status:
    """This node's mail is not sent at this client's asking."""
    return Status(459, "4.7.1", f"Node {node} not allowed: its mail is not kept here")


def unable(node: str) -> Status:
    """It cannot be sent now."""
    return Status(458, "4.3.0", f"Unable to queue messages for node {node}")


WRONG = Status(501, "5.5.4", "ETRN wants a domain, or @ and a domain")
