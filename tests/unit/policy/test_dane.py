"""TLSA records against certificates: every selector, matching type and usage."""

import hashlib

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from relaynode.policy.certificate import public_key_info
from relaynode.policy.dane import AUTHORITY, OWN, Tlsa, match

AUTHORITY_MADE = trustme.CA()
ISSUED = AUTHORITY_MADE.create_child_ca().issue_cert("mx.example")
CHAIN = [
    x509.load_pem_x509_certificate(blob.bytes()).public_bytes(Encoding.DER)
    for blob in ISSUED.cert_chain_pems
]
ROOT = x509.load_pem_x509_certificate(AUTHORITY_MADE.cert_pem.bytes()).public_bytes(Encoding.DER)


def key_of(certificate):
    """What another reader of certificates says."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def data(certificate, selector, matching):
    chosen = key_of(certificate) if selector else certificate
    return [
        lambda x: x,
        lambda x: hashlib.sha256(x).digest(),
        lambda x: hashlib.sha512(x).digest(),
    ][matching](chosen)


@pytest.mark.parametrize("certificate", [*CHAIN, ROOT])
def test_the_public_key_is_found_where_it_is(certificate):
    assert public_key_info(certificate) == key_of(certificate)


@given(st.binary(max_size=40) | st.integers(0, len(CHAIN[0])).map(lambda end: CHAIN[0][:end]))
def test_what_is_no_whole_certificate_is_named(wreck):
    if wreck != CHAIN[0]:
        with pytest.raises(ValueError, match="no certificate"):
            public_key_info(wreck)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_certificate_with_a_wrong_byte_breaks_nothing(place, value):
    wreck = bytearray(CHAIN[0])
    wreck[place] = value
    assert not match([Tlsa(OWN, 1, 1, bytes(32))], [bytes(wreck)]).is_own


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_the_servers_own_certificate_fits_in_each_way_of_saying_it(selector, matching):
    record = Tlsa(OWN, selector, matching, data(CHAIN[0], selector, matching))
    assert record.is_usable
    assert match([record], CHAIN).is_own
    assert not match([record], CHAIN[1:]).is_own
    assert not match([record], []).is_own


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_an_authority_fits_where_it_stands_in_the_chain(selector, matching):
    record = Tlsa(AUTHORITY, selector, matching, data(CHAIN[1], selector, matching))
    found = match([record], CHAIN)
    assert found.authorities == (CHAIN[1],)
    assert not found.is_own


def test_an_authority_that_the_server_leaves_out_may_stand_in_the_record():
    assert match([Tlsa(AUTHORITY, 0, 0, ROOT)], CHAIN).authorities == (ROOT,)
    assert match([Tlsa(AUTHORITY, 0, 1, data(ROOT, 0, 1))], CHAIN).authorities == ()


def test_one_record_of_several_is_enough():
    records = [Tlsa(OWN, 1, 1, bytes(32)), Tlsa(OWN, 1, 1, data(CHAIN[0], 1, 1))]
    assert match(records, CHAIN).is_own


@pytest.mark.parametrize(
    "record",
    [
        Tlsa(0, 0, 1, bytes(32)),
        Tlsa(1, 1, 1, bytes(32)),
        Tlsa(4, 1, 1, bytes(32)),
        Tlsa(OWN, 2, 1, bytes(32)),
        Tlsa(OWN, 1, 3, bytes(32)),
        Tlsa(OWN, 1, 1, bytes(31)),
        Tlsa(OWN, 1, 2, bytes(32)),
        Tlsa(OWN, 1, 0, b""),
    ],
)
def test_what_means_nothing_here_cannot_be_used(record):
    assert not record.is_usable
    assert not record.fits(CHAIN[0])
