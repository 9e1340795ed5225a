"""Makes a key and a certificate for this node, or a request for somebody else to sign.

For a LAN whose people can be told what to trust: a self-signed certificate is recognised by its
fingerprint, or by having it installed. The package `cryptography` (extra `cert`) does the work.
"""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from relaynode.config.replacing import replace_file
from relaynode.errors import AddressError, InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

KEY_MODE = 0o600
CERTIFICATE_MODE = 0o644

_SLACK = timedelta(hours=1)
"""Clocks differ: it is valid from a little before it was made."""


def make_pair(
    names: Sequence[str], *, now: datetime, days: int, is_request: bool = False
) -> tuple[bytes, bytes, str]:
    """A new key (ECDSA, P-256) and what goes with it: PEM of the certificate or request, PEM of the
    key, and the certificate's SHA-256 in hexadecimal ("" of a request).

    `names`: host names or IP addresses, the first is the main one. Raises: UsageError without the
    package, AddressError for what is no name.
    """
    if importlib.util.find_spec("cryptography") is None:
        raise UsageError("needs the package cryptography: pip install relaynode[cert]")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    names = [_ascii(name) for name in names]
    key = ec.generate_private_key(ec.SECP256R1())
    # RFC 5280 appendix A.1: 64 characters at most; the alternative names are what counts.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    alternatives = x509.SubjectAlternativeName([_general_name(x509, name) for name in names])
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    if is_request:
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        signed = request.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), key_pem, ""
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown = made.fingerprint(hashes.SHA256()).hex()
    return made.public_bytes(serialization.Encoding.PEM), key_pem, shown


def write_pair(
    certificate: Path, key: Path, certificate_pem: bytes, key_pem: bytes, *, overwrites: bool
) -> None:
    """Write both, the key first, readable by its owner alone. What is there already stays, unless
    it is to be overwritten. Raises: InputError."""
    if certificate == key:
        raise InputError(f"{key}: certificate and key need a file each")
    for path in (certificate, key):
        if not overwrites and os.path.lexists(path):
            raise InputError(f"{path}: is there already; --force overwrites it")
    _write(key, key_pem, KEY_MODE)
    _write(certificate, certificate_pem, CERTIFICATE_MODE)


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        replace_file(path, data, mode=mode)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _general_name(x509: Any, name: str) -> Any:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _ascii(name: str) -> str:
    """As the DNS has it. Raises: AddressError."""
    try:
        short = name if ":" in name else name.encode("idna").decode()
    except UnicodeError as error:
        raise AddressError(f'"{name}" is no host name: {error}') from error
    if not short or any(char.isspace() for char in short):
        raise AddressError(f'"{name}" is no host name')
    return short
