"""The public key inside a certificate, found without understanding the rest (RFC 5280, X.690).

Certificate ::= SEQUENCE {
    tbsCertificate SEQUENCE {
        version         [0]  (may be absent)
        serialNumber    INTEGER
        signature       SEQUENCE
        issuer          SEQUENCE
        validity        SEQUENCE
        subject         SEQUENCE
        subjectPublicKeyInfo SEQUENCE     <- with its tag and length
        ...
"""

from __future__ import annotations

_SEQUENCE = 0x30
_VERSION = 0xA0
_BEFORE_KEY = 5
"""Serial number, signature, issuer, validity, subject."""


def public_key_info(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, both DER. Raises: ValueError."""
    whole = _content(certificate, 0, _SEQUENCE)
    fields = _content(certificate, whole[0], _SEQUENCE)
    place = fields[0]
    if certificate[place : place + 1] == bytes([_VERSION]):
        place = _element(certificate, place)[2]
    for _ in range(_BEFORE_KEY):
        place = _element(certificate, place)[2]
    start, end = place, _content(certificate, place, _SEQUENCE)[1]
    if end > fields[1]:
        raise ValueError("no certificate: its public key is cut off")
    return certificate[start:end]


def _content(data: bytes, place: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `place` begins and ends."""
    found, start, end = _element(data, place)
    if found != tag:
        raise ValueError(f"no certificate: tag {found:#x} at {place}")
    return start, end


def _element(data: bytes, place: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at `place`."""
    if place + 2 > len(data):
        raise ValueError("no certificate: cut off")
    tag, length, start = data[place], data[place + 1], place + 2
    if length >= 0x80:  # X.690 8.1.3.5: so many bytes of length follow
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > len(data):
            raise ValueError("no certificate: a length that cannot be")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise ValueError("no certificate: cut off")
    return tag, start, start + length
