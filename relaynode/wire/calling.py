"""From a way to call to an open stream, whatever kind of line it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.uucp_values import (
    DirectCall,
    ModemCall,
    PipeCall,
    TcpCall,
    TlsCall,
)
from relaynode.wire import tcp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relaynode.config.uucp_values import Call
    from relaynode.wire.meter import ByteCount
    from relaynode.wire.stream import Stream

CONNECT_SECONDS = 60.0
"""A thin line answers a call within seconds or not at all."""


async def open_call(
    call: Call,
    *,
    locks: Path,
    context: Callable[[], ssl.SSLContext],
    count: ByteCount | None = None,
    sources: Sequence[str] = (),
) -> Stream:
    """Open the line. `context` makes what TLS is spoken with. `locks`: the folder of lock files.
    `sources`: our own addresses to call from.

    Raises: BusyError if another program has the line; WireError.
    """
    match call:
        case TcpCall():
            return await _connect(call, count, sources)
        case TlsCall():
            stream = await tcp.connect(
                call.host, call.port, timeout=CONNECT_SECONDS, count=count, sources=sources
            )
            try:
                await stream.start_tls(context(), call.host, CONNECT_SECONDS)
            except BaseException:
                stream.abort()
                raise
            return stream
        case PipeCall():
            from relaynode.wire.pipe import run_pipe

            return await run_pipe(call.command, count=count)
        case DirectCall():
            from relaynode.wire.serial import open_serial

            return await open_serial(call.line, locks=locks, count=count)
        case ModemCall():
            from relaynode.wire.modem import dial

            return await dial(call, locks=locks, count=count)


async def _connect(call: TcpCall, count: ByteCount | None, sources: Sequence[str]) -> Stream:
    return await tcp.connect(
        call.host,
        call.port,
        timeout=CONNECT_SECONDS,
        count=count,
        version=call.version,
        sources=sources,
    )
