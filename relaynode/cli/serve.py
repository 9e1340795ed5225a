"""`relaynode serve`: the daemon in the foreground, as systemd, rc.d and daemon(8) like it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from relaynode.cli import log_to, receive
from relaynode.cli.rights import open_ports, step_down
from relaynode.config.loader import find, load
from relaynode.daemon.daemon import Daemon
from relaynode.errors import EX_OK
from relaynode.mailers.as_others import monitor
from relaynode.node import make_node
from relaynode.wire.systemd import notify

if TYPE_CHECKING:
    import argparse

    from relaynode.config.loader import Config
    from relaynode.wire.ports import Ports


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, StoreError, ConnectFailed, BusyError."""
    return in_foreground(load(find(arguments.config), with_secrets=False))


def in_foreground(config: Config) -> int:
    """Serve until told to stop, and log to standard error. `config`: read as whoever we are.

    Raises: ConfigError, StoreError, ConnectFailed, BusyError.
    """
    log_to.standard_error(config)
    serve(config, "stderr")
    return EX_OK


def serve(config: Config, log: str) -> None:
    """The daemon itself, as the user that the configuration names. `log`: see log_to.PLACES.

    Raises: ConfigError, StoreError, ConnectFailed, BusyError.
    """
    with open_ports(config) as ports:
        step_down(config, ports)
        asyncio.run(_serve(load(config.path), ports, log))


async def _serve(config: Config, ports: Ports, log: str) -> None:
    steward = monitor()
    tell = notify if steward is None else steward.tell
    daemon = Daemon(make_node(config), ports, tell, partial(receive.starter, log=log))
    if steward is not None:
        # Without its monitor it could deliver nothing any more.
        asyncio.get_running_loop().add_reader(steward, daemon.stopping.set)
    await daemon.run()
