"""The PROXY protocol: a load balancer tells for which client it opens a connection.

HAProxy's specification (proxy-protocol.txt), version 1 (a line) and 2 (bytes), on TCP:

    PROXY TCP4 192.0.2.1 198.51.100.1 56324 25 CRLF
    PROXY UNKNOWN ... CRLF

    0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | version, command | family | length (2) | addresses, TLVs

From a host that is to say it, it must come: a connection without it is closed (section 2 of the
specification), for else its client would pass for the balancer. Nobody else is asked.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError, TlsFailed, WireError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Container, Sequence
    from typing import Any

    from relaynode.wire.stream import Stream

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

MAX_LINE_BYTES = 107
"""Of version 1, with its end: section 2.1."""

MAX_HEADER_BYTES = 4096
"""Of version 2: its addresses have 216 at most, the rest are TLVs, which are passed over."""

HEADER_SECONDS = 10.0
"""The balancer sends it at once."""

_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [ -~]*)?|TCP([46]) (\S+) \S+ [0-9]{1,5} [0-9]{1,5})\r\n")
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}

log = logging.getLogger("relaynode")


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """`address`: of the client, None if the balancer speaks for itself or does not know.
    `size_bytes`: what it takes on the wire."""

    address: str | None
    size_bytes: int


def parse_header(data: bytes) -> ProxyHeader | None:
    """The header that these bytes begin with; None if more is wanted.

    Raises: RemoteProtocolError if there is none.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _version_2(data)
    if b"PROXY ".startswith(data[:6]):
        return _version_1(data)
    raise RemoteProtocolError("no PROXY header")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, MAX_LINE_BYTES)
    if end < 0:
        if len(data) >= MAX_LINE_BYTES:
            raise RemoteProtocolError("PROXY line without an end")
        return None
    found = _LINE.fullmatch(data[: end + 1])
    if found is None:
        raise RemoteProtocolError("PROXY line that makes no sense")
    if found[1] is None:
        return ProxyHeader(None, end + 1)
    return ProxyHeader(_address(found[2].decode("ascii", "replace"), int(found[1])), end + 1)


def _address(text: str, version: int) -> str:
    try:
        where = ipaddress.ip_address(text)
    except ValueError:
        where = None
    if where is None or where.version != version or "%" in text:
        raise RemoteProtocolError("PROXY line with an address that is none")
    return str(where)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    command, family = data[12], data[13]
    size_bytes = 16 + int.from_bytes(data[14:16], "big")
    if command not in (0x20, 0x21) or size_bytes > MAX_HEADER_BYTES:
        raise RemoteProtocolError("PROXY header that makes no sense")
    if len(data) < size_bytes:
        return None
    octets = _ADDRESS_BYTES.get(family)
    if command == 0x20 or octets is None:  # LOCAL, or a family that has no IP addresses
        return ProxyHeader(None, size_bytes)
    if size_bytes < 16 + 2 * octets + 4:
        raise RemoteProtocolError("PROXY header without its addresses")
    return ProxyHeader(str(ipaddress.ip_address(data[16 : 16 + octets])), size_bytes)


def behind_proxies(
    serve: Callable[[Stream, str], Awaitable[None]], proxies: Sequence[Container[Any]]
) -> Callable[[Stream, str], Awaitable[None]]:
    """`serve`, told the address that a balancer speaks for. `proxies`: networks of balancers."""

    if not proxies:
        return serve

    async def serve_client(stream: Stream, address: str) -> None:
        where = ipaddress.ip_address(address.partition("%")[0])
        if not any(where in network for network in proxies):
            await serve(stream, address)
            return
        try:
            header, rest = await _read_header(stream)
        except (WireError, RemoteProtocolError) as error:
            log.warning("%s: %s", stream.peer, error)
            stream.abort()
            return
        client = header.address or address
        await serve(ProxiedStream(stream, f"[{client}]", rest), client)

    return serve_client


async def _read_header(stream: Stream) -> tuple[ProxyHeader, bytes]:
    """Raises: WireError, RemoteProtocolError."""
    data = b""
    while True:
        more = await stream.read(HEADER_SECONDS)
        if not more:
            raise RemoteProtocolError("closed before its PROXY header")
        data += more
        header = parse_header(data)
        if header is not None:
            return header, data[header.size_bytes :]


@dataclass(slots=True)
class ProxiedStream:
    """A stream whose first bytes were read already. `peer`: the client behind the balancer."""

    stream: Stream
    peer: str
    _rest: bytes = field(repr=False)

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        return await self.stream.read(timeout)

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        await self.stream.write(data, timeout)

    def backlog(self) -> int:
        """See Stream."""
        return self.stream.backlog()

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """See Stream. Bytes that came behind the header cannot be given back to TLS."""
        if self._rest:
            raise TlsFailed(f"{self.peer}: TLS in the same packet as the PROXY header")
        await self.stream.start_tls(context, server_hostname, timeout)

    async def close(self) -> None:
        """See Stream."""
        await self.stream.close()

    def abort(self) -> None:
        """See Stream."""
        self.stream.abort()
