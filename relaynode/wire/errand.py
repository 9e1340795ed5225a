"""A command that is run for what it does, such as to bring a line up: waited for, no more.

No shell runs it. What it prints goes to our log. It may leave something running, as pppd is: only
where it takes too long, or nobody waits for it any more, is it ended with all of its group. Not
here: programs that mail is given to (`mailers/process.py`), or that are talked with (`pipe.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from typing import IO, TYPE_CHECKING

from relaynode.errors import ConnectFailed, TimedOut

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LOG_BYTES = 4096
"""Of what a command prints."""

log = logging.getLogger("relaynode")


async def run_errand(command: Sequence[str], timeout_seconds: float) -> int:
    """Run it to its end; its exit code, or a signal as a negative number.

    Raises: ConnectFailed if it cannot be started, TimedOut.
    """
    # A file, not a pipe: what it leaves running may print for as long as it likes.
    with tempfile.TemporaryFile() as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConnectFailed(f"{command[0]}: {reason}") from error
        try:
            async with asyncio.timeout(timeout_seconds):
                return await process.wait()
        except TimeoutError:
            raise TimedOut(f"{command[0]}: not done after {timeout_seconds:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            _log(command[0], output)


def _log(name: str, output: IO[bytes]) -> None:
    output.seek(0)
    for line in output.read(MAX_LOG_BYTES).decode("utf-8", "replace").splitlines():
        text = "".join(c if c.isprintable() else "?" for c in line).strip()
        if text:
            log.info("%s: %s", name, text)
