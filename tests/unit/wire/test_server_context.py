"""The server's certificate: read again when its files change, kept while they are wrong."""

import ssl

import pytest

from peers.certificates import make_certificate
from relaynode.errors import TlsFailed
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
