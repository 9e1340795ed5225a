"""`relaynode serve`: the daemon in the foreground, as systemd, rc.d and daemon(8) like it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

from relaynode.config.loader import find, load
from relaynode.daemon.daemon import Daemon
from relaynode.errors import EX_OK
from relaynode.node import make_node

if TYPE_CHECKING:
    import argparse

    from relaynode.config.loader import Config


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, StoreError, ConnectFailed, BusyError."""
    return in_foreground(load(find(arguments.config)))


def in_foreground(config: Config) -> int:
    """Serve until told to stop, and log to standard error.

    Raises: StoreError, ConnectFailed, BusyError.
    """
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        # The journal and syslog put the time in front themselves.
        format="%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(message)s",
    )
    asyncio.run(serve(config))
    return EX_OK


async def serve(config: Config) -> None:
    """The daemon itself. Raises: StoreError, ConnectFailed, BusyError."""
    await Daemon(make_node(config)).run()
