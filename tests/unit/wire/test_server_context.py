"""The server's certificate: read again when its files change, kept while they are wrong."""

import asyncio
import ssl

import pytest

from peers.certificates import make_certificate
from peers.processes import free_port
from relaynode.config.values import ListenAddress
from relaynode.errors import TimedOut, TlsFailed
from relaynode.wire import server_context
from relaynode.wire.listener import Listener
from relaynode.wire.server_context import ServerCertificate


def test_it_is_read_again_when_it_has_changed_and_not_else(tmp_path, caplog):
    made = make_certificate(tmp_path)
    served = ServerCertificate(made.certificate, made.key)
    first = served.context()
    assert served.context() is first
    assert first.minimum_version is ssl.TLSVersion.TLSv1_2
    made.certificate.write_text("half of it")
    assert served.context() is first
    assert served.context() is first
    assert caplog.text.count("stays in use") == 1
    made.certificate.unlink()
    assert served.context() is first and served.is_usable
    make_certificate(tmp_path)
    second = served.context()
    assert second is not first
    assert served.context() is second


def test_without_a_certificate_no_tls_is_offered(tmp_path, caplog):
    served = ServerCertificate(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(TlsFailed):
        served.context()
    assert not served.is_usable
    assert "no TLS is offered" in caplog.text
    made = make_certificate(tmp_path)
    assert ServerCertificate(made.certificate, made.key).is_usable


@pytest.mark.parametrize("says", [b"", b"GET / HTTP/1.0\r\n\r\n"])
def test_who_never_shakes_hands_does_not_keep_us(tmp_path, monkeypatch, says):
    monkeypatch.setattr(server_context, "HANDSHAKE_SECONDS", 0.05)
    made = make_certificate(tmp_path)
    served = ServerCertificate(made.certificate, made.key)
    ends = []

    async def serve(stream, address):
        try:
            await served.accept(stream)
        except (TimedOut, TlsFailed) as error:
            ends.append(error)
        async with asyncio.timeout(5):  # asyncio itself would never call it closed
            await stream.close()
        ends.append("closed")

    async def run():
        port = free_port()
        listener = await Listener.open(ListenAddress.parse(f"127.0.0.1:{port}"), serve)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0)
        writer.write(says)
        while ends[1:] != ["closed"]:
            await asyncio.sleep(0.01)
        writer.close()
        await listener.close()

    asyncio.run(run())
    assert isinstance(ends[0], TlsFailed if says else TimedOut)
