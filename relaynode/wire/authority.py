"""Is a certificate issued, step by step, by one that was named? For DANE (RFC 7672 section 3.1.2).

OpenSSL is told whom to trust before it sees a certificate; here the authority is known only when
the chain is there. The package `cryptography` (extra `dane`) does the work.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from relaynode.errors import TlsFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509.verification import ExtensionPolicy


def can_vouch() -> bool:
    """Is the package there?"""
    return importlib.util.find_spec("cryptography") is not None


def insist_on_authority(
    chain: Sequence[bytes], authorities: Sequence[bytes], names: Sequence[str]
) -> None:
    """Nothing happens if one of `authorities` stands behind the first of `chain`, and that is for
    one of `names`; all in DER.

    Raises: TlsFailed.
    """
    from cryptography.x509 import DNSName, load_der_x509_certificate
    from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

    reason = "none is named"
    ca_policy, ee_policy = _policies()
    try:
        own, *between = (load_der_x509_certificate(one) for one in chain)
        anchors = [load_der_x509_certificate(one) for one in authorities]
        builder = PolicyBuilder().store(Store(anchors))
        builder = builder.extension_policies(ca_policy=ca_policy, ee_policy=ee_policy)
        for name in names:
            try:
                builder.build_server_verifier(DNSName(name)).verify(own, between)
                return
            except VerificationError as error:
                reason = str(error).partition(" (encountered")[0]
    except ValueError as error:  # what is no certificate, or no name
        reason = str(error)
    raise TlsFailed(f"not issued by the authority that the DNS names: {reason}")


def _policies() -> tuple[ExtensionPolicy, ExtensionPolicy]:
    """What mail servers' certificates are like: issued by authorities, for names; the rules of the
    browsers' forum are not theirs."""
    from cryptography.x509 import BasicConstraints, SubjectAlternativeName
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    anyhow = Criticality.AGNOSTIC
    any_policy = ExtensionPolicy.permit_all()
    return (
        any_policy.require_present(BasicConstraints, anyhow, None),
        any_policy.require_present(SubjectAlternativeName, anyhow, None),
    )
