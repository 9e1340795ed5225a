"""`relaynode serve`: the daemon in the foreground, as systemd, rc.d and daemon(8) like it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

from relaynode.cli.rights import open_ports, step_down
from relaynode.config.loader import find, load
from relaynode.daemon.daemon import Daemon
from relaynode.errors import EX_OK
from relaynode.mailers.as_others import monitor
from relaynode.node import make_node

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
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        # The journal and syslog put the time in front themselves.
        format="%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(message)s",
    )
    serve(config)
    return EX_OK


def serve(config: Config) -> None:
    """The daemon itself, as the user that the configuration names.

    Raises: ConfigError, StoreError, ConnectFailed, BusyError.
    """
    with open_ports(config) as ports:
        step_down(config, ports)
        asyncio.run(_serve(load(config.path), ports))


async def _serve(config: Config, ports: Ports) -> None:
    steward = monitor()
    if steward is None:
        await Daemon(make_node(config), ports).run()
        return
    daemon = Daemon(make_node(config), ports, steward.tell)
    # Without its monitor it could deliver nothing any more.
    asyncio.get_running_loop().add_reader(steward, daemon.stopping.set)
    await daemon.run()
