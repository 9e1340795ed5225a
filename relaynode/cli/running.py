"""`relaynode check --running`: does what the configuration has run, run? For people, and for cron.

    the daemon     answers on its control socket
    each port      of [listen.NAME] takes a connection

On a terminal it tells what runs; anywhere else, as under cron, nothing but what does not.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.cli import background
from relaynode.cli.client import DaemonClient
from relaynode.errors import EX_OK, EX_UNAVAILABLE, RelaynodeError, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.config.loader import Config
    from relaynode.config.values import ListenAddress

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """Something that ought to run. `trouble`: why it does not, or ""."""

    what: str
    trouble: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.trouble or 'runs'}"


def check_running(config: Config, *, starts: bool, is_verbose: bool = False) -> int:
    """Say what runs, and start the daemon (`starts`) if it does not. EX_OK if all runs in the end,
    else EX_UNAVAILABLE."""
    parts = list(_parts(config))
    if starts and parts[0].trouble:
        _tell(Part("daemon", _started(config)))
        parts = list(_parts(config))
    for part in parts:
        if part.trouble or is_verbose or sys.stdout.isatty():
            _tell(part)
    return EX_UNAVAILABLE if any(part.trouble for part in parts) else EX_OK


def _tell(part: Part) -> None:
    print(part, file=sys.stderr if part.trouble else sys.stdout, flush=True)


def _started(config: Config) -> str:
    """How starting it went."""
    try:
        code = background.start(config, is_needed=False)
    except RelaynodeError as error:
        return f"cannot be started: {error}"
    return "did not run, and was started" if code == EX_OK else f"cannot be started (exit {code})"


def _parts(config: Config) -> Iterator[Part]:
    """What ought to run; the daemon first."""
    trouble = _daemon_trouble(config)
    yield Part(f"daemon of {config.spool}", trouble)
    if not trouble:  # what holds its ports is not the question, else
        for name, listen in config.file.listen.items():
            for where in listen.addresses:
                yield Part(f"[listen.{name}] {where}", _port_trouble(where))


def _daemon_trouble(config: Config) -> str:
    daemon = DaemonClient.connect(config.control_socket, CONNECT_SECONDS)
    if daemon is None:
        return "does not run"
    with contextlib.suppress(OSError, WireError):
        daemon.ask("status", [])  # who may not ask hears that, which is an answer
        return ""
    return f"runs, and does not answer within {CONNECT_SECONDS:g} s"


def _port_trouble(where: ListenAddress) -> str:
    address = where.address
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    try:
        socket.create_connection((str(address), where.port), CONNECT_SECONDS).close()
    except OSError as error:
        return f"does not answer: {error.strerror or error}"
    return ""
