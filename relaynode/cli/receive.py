"""What a daemon starts when it has more clients than one process can serve (daemon/receivers.py).

    python -m relaynode.cli.receive CONFIG STAMP LOG MONITOR

Standard input is the channel to the daemon. It is for nobody else to start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli import log_to
from relaynode.config.loader import load
from relaynode.daemon.receiver import Receiver
from relaynode.errors import EX_OK, EX_TEMPFAIL, RelaynodeError
from relaynode.mailers import as_others
from relaynode.node import make_node

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.daemon.receivers import Process, Start

_NONE = "-"


def starter(config: Config, log: str) -> Start:
    """Starts receivers for a daemon that has just read this configuration. `log`: one of
    `log_to.PLACES`."""
    return partial(_start, config, _stamp_of(config), log)


def _stamp_of(config: Config) -> str:
    """What tells a configuration file from what it was when the daemon read it."""
    if config.path is None:
        return _NONE
    found = config.path.stat()
    return f"{found.st_ino}.{found.st_size}.{found.st_mtime_ns}"


async def _start(config: Config, stamp: str, log: str, channel: socket.socket) -> Process:
    kept: tuple[int, ...] = ()
    # Where one is expected and missing, the receiver misses it as the daemon does.
    with contextlib.suppress(as_others.NoMonitor):
        if (monitor := as_others.monitor()) is not None:
            kept = (monitor.fileno(),)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "relaynode.cli.receive"),
        *(_NONE if config.path is None else str(config.path), stamp, log),
        *(map(str, kept) if kept else (_NONE,)),
        stdin=channel.fileno(),
        stdout=asyncio.subprocess.DEVNULL,
        pass_fds=kept,
    )


def main() -> int:
    """As the daemon's own user already, and with its monitor, if it has one."""
    path, stamp, log, monitor = sys.argv[1:]
    if monitor != _NONE:
        os.set_inheritable(int(monitor), False)
        as_others.lend(as_others.MonitorClient(socket.socket(fileno=int(monitor))))
    try:
        config = load(None if path == _NONE else Path(path))
        log_to.PLACES[log](config)
        if _stamp_of(config) != stamp:
            print(f"receiver: {path} was changed; send SIGHUP to the daemon", file=sys.stderr)
            return EX_TEMPFAIL
        asyncio.run(_receive(config))
    except RelaynodeError as error:
        print(f"receiver: {error}", file=sys.stderr)
        return error.exit_code
    return EX_OK


async def _receive(config: Config) -> None:
    with socket.socket(fileno=os.dup(0)) as daemon:
        await Receiver(make_node(config), daemon).run()


if __name__ == "__main__":
    sys.exit(main())
