"""Does a certificate fit what the DNS says about it? TLSA records for SMTP (RFC 6698, RFC 7672).

    _25._tcp.mx.example. TLSA 3 1 1 <SHA-256 of the public key>
                              | | |
                              | | +-- 0: the thing itself, 1: SHA-256, 2: SHA-512
                              | +---- 0: the whole certificate, 1: its public key
                              +------ 3: the server's own, 2: an authority's above it

Only matching is done here. Whether a record may be believed, and whether the server's certificate
really comes from a matching authority, others find out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.policy.certificate import public_key_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AUTHORITY, OWN = 2, 3
"""Usages. RFC 7672 section 3.1.3: 0 and 1 mean nothing for SMTP between servers."""

_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def is_usable(self) -> bool:
        """Can a certificate fit it at all, here? RFC 7672 section 3.1."""
        if self.usage not in (AUTHORITY, OWN) or self.selector not in (0, 1):
            return False
        digest = _DIGESTS.get(self.matching)
        return (self.matching == 0 and bool(self.data)) or (
            digest is not None and len(self.data) == digest().digest_size
        )

    def fits(self, certificate: bytes) -> bool:
        """Is this the certificate (DER) that the record means? One that cannot be read is not."""
        try:
            chosen = certificate if self.selector == 0 else public_key_info(certificate)
        except ValueError:
            return False
        digest = _DIGESTS.get(self.matching)
        return self.is_usable and (digest(chosen).digest() if digest else chosen) == self.data


@dataclass(frozen=True, slots=True)
class Match:
    """What fits. `is_own`: the server's own certificate is named. `authorities`: those that are
    named as above it, of the chain or out of a record (DER)."""

    is_own: bool
    authorities: tuple[bytes, ...]


def match(records: Iterable[Tlsa], chain: Sequence[bytes]) -> Match:
    """What fits of a chain as the server shows it, its own certificate first (DER)."""
    usable = [record for record in records if record.is_usable]
    own = chain[:1]
    above = [one for one in usable if one.usage == AUTHORITY]
    # A whole certificate may be left out by the server: it stands in the record.
    written = [one.data for one in above if (one.selector, one.matching) == (0, 0)]
    return Match(
        any(record.fits(one) for one in own for record in usable if record.usage == OWN),
        tuple(
            dict.fromkeys(
                one for one in (*chain, *written) if any(record.fits(one) for record in above)
            )
        ),
    )
