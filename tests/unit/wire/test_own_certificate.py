"""A certificate of our own: for whom it is, and that nothing is overwritten."""

import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509

from relaynode.errors import AddressError, InputError
from relaynode.wire.own_certificate import make_pair, write_pair
from relaynode.wire.server_context import server_context

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_it_is_for_its_names_and_its_time(tmp_path):
    pem, key, shown = make_pair(["gate.lan", "192.168.1.1", "::1"], now=NOW, days=10)
    made = x509.load_pem_x509_certificate(pem)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gate.lan"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == [
        "192.168.1.1",
        "::1",
    ]
    assert made.not_valid_before_utc < NOW
    assert made.not_valid_after_utc == NOW + timedelta(days=10)
    assert shown == sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()
    write_pair(tmp_path / "c.pem", tmp_path / "k.pem", pem, key, overwrites=False)
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    assert server_context(tmp_path / "c.pem", tmp_path / "k.pem")


def test_a_request_has_the_names_and_no_fingerprint():
    pem, _, shown = make_pair(["gate.lan"], now=NOW, days=1, is_request=True)
    request = x509.load_pem_x509_csr(pem)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gate.lan"]
    assert shown == ""


@pytest.mark.parametrize("there", ["c.pem", "k.pem"])
def test_what_is_there_stays_unless_it_is_to_be_overwritten(tmp_path, there):
    (tmp_path / there).write_text("mine")
    files = tmp_path / "c.pem", tmp_path / "k.pem"
    with pytest.raises(InputError, match="--force"):
        write_pair(*files, b"c", b"k", overwrites=False)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"
    write_pair(*files, b"c", b"k", overwrites=True)
    assert (tmp_path / "k.pem").read_bytes() == b"k"
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600


def test_one_file_for_both_or_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError):
        write_pair(tmp_path / "c", tmp_path / "c", b"c", b"k", overwrites=True)
    with pytest.raises(InputError):
        write_pair(tmp_path / "x" / "c", tmp_path / "x" / "k", b"c", b"k", overwrites=False)


@pytest.mark.parametrize("name", ["\N{SNOWMAN}" * 80, "a" * 70 + "é", "", "a b", "a..b"])
def test_what_is_no_name_is_told(name):
    with pytest.raises(AddressError):
        make_pair([name], now=NOW, days=1)
