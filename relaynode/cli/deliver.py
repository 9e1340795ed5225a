"""What `sendmail` without a daemon leaves running behind it: deliver what may go now, and end.

    python -m relaynode.cli.deliver CONFIG

Local mail, and mail for the links that are up (`always`, or said to be by a hook), as sendmail's
background delivery mode does. Mail that cannot go stays queued; nobody reads what is printed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.rights import load_and_step_down
from relaynode.errors import EX_OK, BusyError, RelaynodeError
from relaynode.mailers.as_others import monitor
from relaynode.node import is_up, make_node

if TYPE_CHECKING:
    from relaynode.config.loader import Config


def start_in_background(config: Config) -> None:
    """Start it, independent of the calling process; or do it now, if we could not start one that
    may deliver as users."""
    if monitor() is not None:
        worker = threading.Thread(target=_deliver_now, args=(config,))
        worker.start()
        worker.join()
        return
    path = str(config.path) if config.path is not None else ""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "relaynode.cli.deliver", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    process.returncode = EX_OK  # nobody waits for it


def _deliver_now(config: Config) -> None:
    """In a thread, for the caller may have an event loop of its own."""
    with contextlib.suppress(RelaynodeError):
        asyncio.run(deliver(config))


async def deliver(config: Config) -> None:
    """One pass over everything that is due. Raises: StoreError."""
    node = make_node(config)
    try:
        await node.links.run_due(None)
        for link in config.mail_links:
            # Where a run is under way, it takes new mail along.
            with contextlib.suppress(BusyError):
                if await is_up(node, link):
                    await node.links.run_due(link)
    finally:
        await node.close()


def main() -> int:
    """The exit code is for nobody in particular."""
    path = Path(sys.argv[1]) if sys.argv[1:] and sys.argv[1] else None
    try:
        asyncio.run(deliver(load_and_step_down(path)))
    except RelaynodeError as error:
        return error.exit_code
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
