"""`rmail`, and `rsmtp` and its kin for batches: mail on standard input, as uuxqt gives it to them.

    rmail [-D DOMAIN] [-T] USER ...

UU_MACHINE in the environment names the neighbour that brought it. What is wrong is said on standard
error, and the exit code is the true one: 75 when it should be tried again, which sendmail's rmail
turns into 0. The daemon is asked if there is one, and there the launcher asks it without this.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from relaynode.cli.client import DaemonClient
from relaynode.cli.deliver import start_in_background
from relaynode.cli.rights import caller_uid, step_down
from relaynode.config.loader import find, load
from relaynode.errors import EX_TEMPFAIL, RelaynodeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from relaynode.config.loader import Config

READ_BYTES = 65536


def main(words: Sequence[str], program: str = "rmail") -> int:
    """Run as `program`; the exit code (sysexits)."""
    machine = os.environ.get("UU_MACHINE", "")
    try:
        config = load(find())
        daemon = DaemonClient.connect(config.control_socket)
        if daemon is not None:
            code, complaint = daemon.submit([machine, program, *words], _pieces(), "rmail")
        else:
            step_down(config)
            code, complaint = asyncio.run(_run_ourselves(config, [program, *words], machine))
    except RelaynodeError as error:
        # A configuration that is wrong now may be right tomorrow: the mail must not be thrown away.
        code, complaint = EX_TEMPFAIL, f"{program}: {error}"
    except KeyboardInterrupt:
        return EX_TEMPFAIL
    if complaint:
        print(complaint, file=sys.stderr)
    return code


async def _run_ourselves(config: Config, words: list[str], machine: str) -> tuple[int, str]:
    from relaynode.node import make_node
    from relaynode.sources.submit import local_submitter

    queued: list[str] = []
    node = make_node(config)
    node.intake.on_queued = lambda queue_id, _: queued.append(queue_id)
    try:
        user = local_submitter(caller_uid()).name
        ended = await node.uucp_mail.run(words, user, machine, _stdin())
    finally:
        await node.close()
    if queued:
        start_in_background(config)
    return ended


def _pieces() -> Iterator[bytes]:
    return iter(lambda: os.read(0, READ_BYTES), b"")


async def _stdin() -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(os.read, 0, READ_BYTES):
        yield piece
