"""A serial line as a stream, through pyserial; opening, speed, flow control, carrier, hanging up.

The event loop watches the descriptor, so that nothing waits in a thread. The line is eight bits
without parity and without XON/XOFF, as line protocols want it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
from typing import TYPE_CHECKING

import serial

from relaynode.errors import ConnectFailed, LineLost, TimedOut, TlsFailed, WireError
from relaynode.wire.stream import READ_BYTES
from relaynode.wire.uucp_lock import UucpLock, device_lock

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from relaynode.config.uucp_values import SerialLine
    from relaynode.wire.meter import ByteCount

DRAIN_SECONDS = 30.0
"""How long a close waits for what is still to go out."""

HANG_UP_SECONDS = 1.0
"""How long DTR is low: modems want to see it for half a second at least."""

POLL_SECONDS = 0.05
"""The kernel tells nobody when its buffer has gone out, or when the carrier comes."""

QUEUE_SECONDS = 0.5
"""How much line time may wait in the kernel: every answer to the peer has to wait behind it."""

MIN_QUEUE_BYTES = 128
USUAL_SPEED = 9600
"""Bit/s, where neither the configuration nor the system says it."""

_BITS_A_BYTE = 10
_CFLAG, _OSPEED, _CC = 2, 5, 6  # in what tcgetattr gives
_SPEEDS = {
    value: int(name[1:])
    for name, value in vars(termios).items()
    if name.startswith("B") and name[1:].isdigit() and name != "B0"
}


async def open_serial(
    line: SerialLine, *, locks: Path, count: ByteCount | None = None
) -> SerialStream:
    """Lock and open a line. Raises: BusyError, ConnectFailed."""
    lock = UucpLock(locks, line.lock_name or device_lock(line.device))
    lock.take()
    try:
        port = await asyncio.to_thread(_open, line)
    except BaseException:
        lock.release()
        raise
    return SerialStream(port, line, lock, count)


def _open(line: SerialLine) -> serial.Serial:
    try:
        port = serial.Serial(None, rtscts=line.has_hardflow, exclusive=True, timeout=0)
        port.port = line.device
        port.baudrate = line.speed or _present_speed(line.device)
        port.open()
        os.set_blocking(port.fileno(), False)
        _set_up(port.fileno(), is_carrier_watched=False)
    except (OSError, ValueError, termios.error) as error:  # serial.SerialException is an OSError
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number is not None else str(error)
        raise ConnectFailed(f"{line.device}: {reason}") from error
    return port


def _present_speed(device: str) -> int:
    """The speed that a line has; pyserial would give it one. Raises: OSError, termios.error."""
    descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _SPEEDS.get(termios.tcgetattr(descriptor)[_OSPEED], USUAL_SPEED)
    finally:
        os.close(descriptor)


def _set_up(descriptor: int, *, is_carrier_watched: bool) -> None:
    """What pyserial leaves open.

    Without CLOCAL the loss of the carrier ends the line. With VMIN 0, which is pyserial's, a read
    that finds nothing would look like the end.
    """
    settings = termios.tcgetattr(descriptor)
    settings[_CFLAG] |= termios.HUPCL | termios.CLOCAL
    if is_carrier_watched:
        settings[_CFLAG] &= ~termios.CLOCAL
    settings[_CC][termios.VMIN] = 1
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)


class SerialStream:
    """A `Stream` over a tty. It holds the line's lock until it is closed."""

    def __init__(
        self,
        port: serial.Serial,
        line: SerialLine,
        lock: UucpLock,
        count: ByteCount | None = None,
    ) -> None:
        self.peer = line.device
        self.line = line
        self._port = port
        self._descriptor = port.fileno()
        self._lock = lock
        self._count = count
        self._is_open = True
        self._waiting: set[asyncio.Future[None]] = set()
        rate = port.baudrate / _BITS_A_BYTE
        self._queue_bytes = max(MIN_QUEUE_BYTES, int(rate * QUEUE_SECONDS))

    # --- bytes

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream. b"" is the end: the carrier is gone, or the other end of a pty."""
        try:
            async with asyncio.timeout(timeout):
                data = await self._read()
        except TimeoutError:
            raise TimedOut(f"{self.peer}: silent for {timeout:g} s") from None
        if self._count is not None:
            self._count.received(len(data))
        return data

    async def _read(self) -> bytes:
        while True:
            self._check_is_open()
            try:
                return os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._ready(loop.add_reader, loop.remove_reader)
            except OSError as error:
                if error.errno == errno.EIO:  # hung up
                    return b""
                raise LineLost(f"{self.peer}: {error.strerror or error}") from error

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        try:
            async with asyncio.timeout(timeout):
                await self._write(memoryview(data))
        except TimeoutError:
            raise TimedOut(f"{self.peer}: took nothing for {timeout:g} s") from None

    async def _write(self, data: memoryview) -> None:
        while data:
            room = self._queue_bytes - self.backlog()
            if room <= 0:
                await asyncio.sleep(POLL_SECONDS)
                continue
            self._check_is_open()
            try:
                written = os.write(self._descriptor, data[:room])
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._ready(loop.add_writer, loop.remove_writer)
                continue
            except OSError as error:
                raise LineLost(f"{self.peer}: {error.strerror or error}") from error
            if self._count is not None:
                self._count.sent(written)
            data = data[written:]

    def _check_is_open(self) -> None:
        if not self._is_open:
            raise LineLost(f"{self.peer}: closed")

    async def _ready(
        self, add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool]
    ) -> None:
        """Wait until the descriptor can be read or written, or the stream is closed."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(ready)
        add(self._descriptor, lambda: _wake(ready))
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if self._is_open:  # else it was removed, and the number may be another file's
                remove(self._descriptor)

    def backlog(self) -> int:
        """See Stream: what the kernel still has to send. 0 where it does not tell."""
        if not self._is_open:
            return 0
        try:
            return int(self._port.out_waiting)
        except OSError:
            return 0

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """Nobody speaks TLS over a modem."""
        raise TlsFailed(f"{self.peer}: no TLS on a serial line")

    # --- the signals of the line

    async def send_break(self) -> None:
        """Send a break. Raises: LineLost."""
        self._check_is_open()
        try:
            await asyncio.to_thread(termios.tcsendbreak, self._descriptor, 0)
        except termios.error as error:
            raise LineLost(f"{self.peer}: {error.args[-1]}") from error

    async def toggle_dtr(self) -> None:
        """Make a modem hang up and listen. A line without the signal stays as it is."""
        self._check_is_open()
        with contextlib.suppress(OSError):
            self._port.dtr = False
            await asyncio.sleep(HANG_UP_SECONDS)
            self._port.dtr = True

    def has_carrier(self) -> bool:
        """Is the carrier there? Raises: LineLost if the line cannot tell."""
        self._check_is_open()
        try:
            return bool(self._port.cd)
        except OSError as error:
            raise LineLost(f"{self.peer}: no carrier signal: {error.strerror}") from error

    async def wait_for_carrier(self, seconds: float) -> None:
        """Raises: ConnectFailed if it does not come, LineLost if the line cannot tell."""
        try:
            async with asyncio.timeout(seconds):
                while not self.has_carrier():  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ConnectFailed(f"{self.peer}: no carrier within {seconds:g} s") from None

    def watch_carrier(self, is_watched: bool) -> None:
        """Whether the loss of the carrier ends the stream. Raises: LineLost."""
        self._check_is_open()
        try:
            _set_up(self._descriptor, is_carrier_watched=is_watched)
        except termios.error as error:
            raise LineLost(f"{self.peer}: {error.args[-1]}") from error

    # --- the end

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until all has gone out. Raises: TimedOut, LineLost."""
        try:
            async with asyncio.timeout(timeout):
                while self._is_open and self.backlog():  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise TimedOut(f"{self.peer}: took nothing for {timeout:g} s") from None

    async def close(self) -> None:
        """See Stream. The line is hung up."""
        try:
            with contextlib.suppress(WireError):
                await self.drain(DRAIN_SECONDS)
            with contextlib.suppress(WireError):
                await self.toggle_dtr()
        finally:
            self.abort()

    def abort(self) -> None:
        """See Stream. The line is hung up."""
        if not self._is_open:
            return
        with contextlib.suppress(RuntimeError):  # outside of the loop nobody waits
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._descriptor)
            loop.remove_writer(self._descriptor)
        self._is_open = False
        for waiting in self._waiting:
            _wake(waiting)
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._descriptor, termios.TCIOFLUSH)  # or close waits for it
        with contextlib.suppress(OSError):
            self._port.dtr = False
        with contextlib.suppress(OSError):
            self._port.close()
        self._lock.release()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
