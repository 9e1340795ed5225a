"""A program's standard input and output as a stream: `ssh horus uucico` and its like.

The program runs in a session of its own, without a shell. What it writes to its standard error goes
to the log, line by line. With the stream it ends, and all that it has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING

from relaynode.errors import ConnectFailed, LineLost, TimedOut, TlsFailed
from relaynode.wire.stream import READ_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from relaynode.wire.meter import ByteCount

WRITE_BUFFER_BYTES = 16 * 1024
"""See tcp.py."""

END_SECONDS = 10.0
"""How long a program may take to end by itself when its input has ended, and again when it was
asked to terminate."""

SOON_SECONDS = 1.0
"""Between the end of a program's pipes and the news of its exit code."""

POLL_SECONDS = 0.02

MAX_LOG_LINE_BYTES = 1024
MAX_LOG_LINES = 100
"""Of one program's standard error: more is read and dropped."""

log = logging.getLogger(__name__)


async def run_pipe(command: Sequence[str], *, count: ByteCount | None = None) -> PipeStream:
    """Start a program and talk to it. Raises: ConnectFailed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=READ_BYTES,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConnectFailed(f"{command[0]}: {reason}") from error
    return PipeStream(process, command[0], count)


class PipeStream:
    """A `Stream` to a program that was started for it."""

    def __init__(
        self, process: asyncio.subprocess.Process, name: str, count: ByteCount | None = None
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.peer = f"{name} [{process.pid}]"
        self._process = process
        self._writer = process.stdin
        self._reader = process.stdout
        self._count = count
        self._writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._logging = asyncio.ensure_future(self._log(process.stderr))

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        try:
            async with asyncio.timeout(timeout):
                data = await self._reader.read(READ_BYTES)
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent for {timeout:g} s") from None
        except OSError as error:
            raise LineLost(f"{self.peer}: {error.strerror or error}") from error
        if self._count is not None:
            self._count.received(len(data))
        return data

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        if not data:
            return
        try:
            self._writer.write(data)
            if self._count is not None:
                self._count.sent(len(data))
            async with asyncio.timeout(timeout):
                await self._writer.drain()
        except TimeoutError:
            raise TimedOut(f"{self.peer}: took nothing for {timeout:g} s") from None
        except (OSError, RuntimeError) as error:
            raise LineLost(f"{self.peer}: {await self._end()}") from error

    async def _end(self) -> str:
        """Why it takes no more: it has ended, as we will hear soon, or does not want to."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOON_SECONDS):
                while self._process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        code = self._process.returncode
        if code is None:
            return "takes no more"
        return f"died with signal {-code}" if code < 0 else f"ended with exit code {code}"

    def backlog(self) -> int:
        """See Stream: what lies in the pipe and beyond, nobody knows."""
        return self._writer.transport.get_write_buffer_size()

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """The program has its own ways to keep secrets."""
        raise TlsFailed(f"{self.peer}: no TLS over a pipe")

    async def close(self) -> None:
        """See Stream. The program sees the end of its input, and has some time to end."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._writer.wait_closed()
        for end in (None, signal.SIGTERM, signal.SIGKILL):
            if end is not None:
                self._kill(end)
            if await self._has_ended(END_SECONDS):
                break
        self._kill(signal.SIGKILL)  # what it left behind
        await asyncio.wait([self._logging], timeout=SOON_SECONDS)
        self._logging.cancel()

    async def _has_ended(self, seconds: float) -> bool:
        """Its output is read on: a program whose pipe is full does not end."""
        try:
            async with asyncio.timeout(seconds):
                while await self._reader.read(READ_BYTES):
                    pass
                # Process.wait() would also wait for children that hold its pipes.
                while self._process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        except (OSError, TimeoutError):
            return self._process.returncode is not None
        return True

    def abort(self) -> None:
        """See Stream."""
        self._kill(signal.SIGKILL)
        self._writer.transport.abort()

    def _kill(self, end: signal.Signals) -> None:
        """The program and its children: it leads its own group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, end)

    async def _log(self, errors: asyncio.StreamReader) -> None:
        lines = 0
        while True:
            try:
                line = await errors.readuntil(b"\n")
            except asyncio.IncompleteReadError as rest:
                line = rest.partial
            except asyncio.LimitOverrunError as error:
                line = await errors.readexactly(error.consumed)
            if not line:
                return
            lines += 1
            if lines <= MAX_LOG_LINES:
                shown = line[:MAX_LOG_LINE_BYTES].decode("utf-8", "replace").rstrip()
                log.warning("%s: %s", self.peer, shown.encode("unicode_escape").decode())
