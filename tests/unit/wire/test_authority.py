"""Which certificates an authority stands behind."""

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from relaynode.errors import TlsFailed
from relaynode.wire.authority import insist_on_authority

ROOT_MADE = trustme.CA()
ISSUED = ROOT_MADE.create_child_ca().issue_cert("mx.example")


def der(blob):
    return x509.load_pem_x509_certificate(blob.bytes()).public_bytes(Encoding.DER)


CHAIN = [der(blob) for blob in ISSUED.cert_chain_pems]
ROOT = der(ROOT_MADE.cert_pem)
STRANGER = der(trustme.CA().cert_pem)


@pytest.mark.parametrize("authority", [ROOT, CHAIN[1]])
def test_each_authority_of_the_chain_stands_behind_it(authority):
    insist_on_authority(CHAIN, [STRANGER, authority], ["other.example", "mx.example"])


@pytest.mark.parametrize(
    ("chain", "authorities", "names"),
    [
        (CHAIN, [STRANGER], ["mx.example"]),
        (CHAIN[:1], [ROOT], ["mx.example"]),  # who issued it is not there
        (CHAIN, [ROOT], ["other.example"]),
        (CHAIN, [ROOT], []),
        (CHAIN, [ROOT], ["no name"]),
        ([b"nothing"], [ROOT], ["mx.example"]),
        ([], [ROOT], ["mx.example"]),
        ([STRANGER, *CHAIN], [ROOT], ["mx.example"]),
    ],
)
def test_anything_else_is_refused_by_name(chain, authorities, names):
    with pytest.raises(TlsFailed, match="not issued by the authority that the DNS names: "):
        insist_on_authority(chain, authorities, names)
