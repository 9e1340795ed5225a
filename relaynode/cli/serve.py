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


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, StoreError, ConnectFailed, BusyError."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        # The journal and syslog put the time in front themselves.
        format="%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(message)s",
    )
    config = load(find(arguments.config))

    async def serve() -> None:
        await Daemon(make_node(config)).run()

    asyncio.run(serve())
    return EX_OK
