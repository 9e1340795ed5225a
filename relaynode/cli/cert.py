"""`relaynode cert CERTIFICATE KEY`: a key, and a self-signed certificate or a request.

Prints what a client writes to trust it: the fingerprint, as `fingerprints` of a smart host has it.
"""

from __future__ import annotations

import socket
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relaynode.config.loader import find
from relaynode.errors import EX_OK, ConfigError, Problem, UsageError
from relaynode.wire.own_certificate import make_pair, write_pair

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

MAX_DAYS = 36500


def run(arguments: argparse.Namespace) -> int:
    """Make them. Raises: UsageError, ConfigError, AddressError, InputError."""
    if not 1 <= arguments.days <= MAX_DAYS:
        raise UsageError(f"--days wants 1 to {MAX_DAYS}")
    names = _names(arguments)
    certificate_pem, key_pem, shown = make_pair(
        names, now=datetime.now(UTC), days=arguments.days, is_request=arguments.request
    )
    write_pair(
        arguments.certificate, arguments.key, certificate_pem, key_pem, overwrites=arguments.force
    )
    what = "a request to have signed" if arguments.request else "a certificate"
    print(f"{arguments.certificate}: {what} for {', '.join(names)}")
    print(f"{arguments.key}: its key")
    if shown:
        print(f'fingerprints = ["sha256:{shown}"]')
    return EX_OK


def _names(arguments: argparse.Namespace) -> list[str]:
    """The node's own name first, unless it is not wanted."""
    given: list[str] = arguments.name
    if not arguments.only:
        given = [_own_name(find(arguments.config)), *given]
    if not given:
        raise UsageError("no name: --only wants a --name")
    return list(dict.fromkeys(given))


def _own_name(path: Path | None) -> str:
    """[node] hostname of a configuration that is not checked: all that it lacks may be the
    certificate that is being made. Raises: ConfigError."""
    try:
        data = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(str(path), None, str(error))]) from error
    node = data.get("node")
    named = node.get("hostname") if isinstance(node, dict) else None
    return str(named or socket.gethostname()).rstrip(".")
