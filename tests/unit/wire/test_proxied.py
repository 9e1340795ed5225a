"""The PROXY protocol: what its header says, and that nobody passes for a client without it."""

import asyncio

import pytest

from relaynode.config.values import Network
from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.wire.memory import pair
from relaynode.wire.proxied import (
    MAX_HEADER_BYTES,
    SIGNATURE,
    ProxyHeader,
    behind_proxies,
    parse_header,
)

V4 = bytes([192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 4, 0, 25])
V6 = bytes.fromhex("20010db8000000000000000000000001" * 2) + bytes(4)


def version_2(command, family, addresses, size=None):
    length = len(addresses) if size is None else size
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big") + addresses


GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 25\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    (version_2(0x21, 0x11, V4), "192.0.2.1"),
    (version_2(0x21, 0x21, V6), "2001:db8::1"),
    (version_2(0x21, 0x11, V4 + b"\x04\x00\x03abc"), "192.0.2.1"),
    (version_2(0x20, 0x00, b""), None),
    (version_2(0x20, 0x11, V4), None),
    (version_2(0x21, 0x31, bytes(216)), None),
]
BAD = [
    b"EHLO x\r\n",
    b"\0",
    b"PROXY\r\n",
    b"PROXY TCP4 192.0.2.1\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n",
    b"PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n",
    b"PROXY TCP4 999.0.2.1 198.51.100.1 56324 25\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 x 25\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 25\r\n",
    b"PROXY TCP5 192.0.2.1 198.51.100.1 56324 25\r\n",
    b"proxy TCP4 192.0.2.1 198.51.100.1 56324 25\r\n",
    b"PROXY TCP4 \xff 198.51.100.1 56324 25\r\n",
    b"PROXY " + b"x" * 200,
    version_2(0x11, 0x11, V4),
    version_2(0x22, 0x11, V4),
    version_2(0x21, 0x11, V4[:8]),
    version_2(0x21, 0x21, V4),
    version_2(0x21, 0x11, V4, size=MAX_HEADER_BYTES),
    b"\r\n\r\n\x00\r\nQUIX\n\x21\x11\x00\x0c" + V4,
]


@pytest.mark.parametrize(("header", "address"), GOOD)
def test_a_header_tells_the_client_however_it_comes(header, address):
    for size in range(len(header)):
        assert parse_header(header[:size]) is None, size
    assert parse_header(header + b"EHLO x\r\n") == ProxyHeader(address, len(header))


@pytest.mark.parametrize("header", BAD)
def test_what_is_no_header_is_refused_as_soon_as_that_is_seen(header):
    with pytest.raises(RemoteProtocolError):
        parse_header(header)


def serve(sent, address="127.0.0.1"):
    """What a service behind proxies on loopback gets: the address, and the first bytes."""
    got = []

    async def service(stream, client):
        got.append((client, stream.peer, await stream.read(1)))
        await stream.close()

    async def run():
        ours, theirs = pair("[127.0.0.1]", "server")
        for piece in sent:
            await theirs.write(piece)
        await theirs.close()
        await behind_proxies(service, [Network.parse("127.0.0.0/8")])(ours, address)
        try:
            return got, await theirs.read(1)
        except LineLost:
            return got, b""

    return asyncio.run(run())[0]


def test_the_client_behind_a_proxy_is_served_under_its_own_address():
    header = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n"
    assert serve([header, b"EHLO x\r\n"]) == [("192.0.2.1", "[192.0.2.1]", b"EHLO x\r\n")]
    assert serve([header[:9], header[9:] + b"EHLO x\r\n"])[0][2] == b"EHLO x\r\n"


def test_a_proxy_that_speaks_for_itself_is_a_client():
    assert serve([version_2(0x20, 0, b""), b"EHLO x\r\n"])[0][0] == "127.0.0.1"


@pytest.mark.parametrize("sent", [[b"EHLO x\r\n"], [b"PROXY TCP4 "], []])
def test_a_proxy_that_does_not_tell_is_not_served(sent):
    assert serve(sent) == []


def test_nobody_else_is_asked_or_believed():
    header = b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n"
    assert serve([header], "203.0.113.9") == [("203.0.113.9", "[127.0.0.1]", header)]
