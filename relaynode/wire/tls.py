"""TLS contexts: verified by default, and refused by name when they cannot be made.

For UUCP both sides may have to show a certificate. Whose it is, is asked of the stream when TLS is
up: `certificates` has the verified chain.

A server can only check certificates whose issuer it has, or that it has themselves: OpenSSL lets a
fingerprint alone be looked at by the client only. So a neighbour that calls us and signs its own
certificate is known by a copy of it in our files.
"""

from __future__ import annotations

import _ssl
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relaynode.errors import TlsFailed
from relaynode.wire.client_context import ClientContext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def client_context(*, ca_file: Path | None = None, verify: bool = True) -> ClientContext:
    """A context for calling a server whose certificate must name it (RFC 9525).

    `ca_file`: trust these certificates instead of the system's. `verify=False`: encrypt, trust
    anybody; only where the user's configuration says so. Raises: TlsFailed.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        else:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        text = f"{ca_file}: no certificates can be read from it: {error}"
        raise TlsFailed(text, reason="configuration") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def add_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Show this certificate when the other side wants one. Raises: TlsFailed."""
    try:
        # Without an answer for encrypted keys OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        text = f"{certificate}, {key}: no certificate and key: {reason}"
        raise TlsFailed(text, reason="configuration") from error


def uucp_client_context(
    *, ca_file: Path | None, is_pinned: bool, own: tuple[Path, Path] | None
) -> ssl.SSLContext:
    """A context for calling a neighbour.

    `ca_file`: its authority's certificates, or its own. `is_pinned`: its fingerprint will be looked
    at, so that without a `ca_file` any certificate does for now. `own`: our certificate and key, if
    we have one. The name in the certificate is left to the caller if there is a `ca_file`: it is
    that of a neighbour rather than of a host. Raises: TlsFailed.
    """
    context = client_context(ca_file=ca_file, verify=ca_file is not None or not is_pinned)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it may be the certificate itself
    if own is not None:
        add_certificate(context, *own)
    return context


def uucp_server_context(
    certificate: Path, key: Path, *, ca_files: Iterable[Path], is_demanded: bool
) -> ssl.SSLContext:
    """A context for being called. `ca_files`: the authorities of all neighbours.

    `is_demanded`: who has no certificate of theirs is sent away; else it may be without one.
    Raises: TlsFailed.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    add_certificate(context, certificate, key)
    ca_files = list(ca_files)
    for ca_file in ca_files:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise TlsFailed(f"{ca_file}: no certificates can be read from it: {error}") from error
    if ca_files or is_demanded:
        context.verify_mode = ssl.CERT_REQUIRED if is_demanded else ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What the other side has shown.

    `chain`: DER, its own certificate first; where that was verified, up to the one we trust.
    `names`: the common name and all DNS names in it, if it was verified.
    """

    chain: tuple[bytes, ...] = ()
    names: frozenset[str] = frozenset()


def peer_certificate(connection: ssl.SSLObject) -> PeerCertificate:
    """What the other side of a TLS connection has shown; nothing if it has not."""
    own = connection.getpeercert(binary_form=True)
    if own is None:
        return PeerCertificate()
    parsed: Mapping[str, Any] = connection.getpeercert() or {}
    names = {value for kind, value in parsed.get("subjectAltName", ()) if kind == "DNS"}
    for part in parsed.get("subject", ()):
        names.update(value for kind, value in part if kind == "commonName")
    return PeerCertificate((own, *_verified_chain(connection)[1:]), frozenset(names))


def _verified_chain(connection: ssl.SSLObject) -> list[bytes]:
    """From the other side's certificate to the one we trust; Python 3.13 has it for all to use."""
    public = getattr(connection, "get_verified_chain", None)
    if public is not None:
        return list(public())
    found = connection._sslobj.get_verified_chain()  # type: ignore[attr-defined]
    return [one.public_bytes(_ssl.ENCODING_DER) for one in found or ()]


def shown_chain(connection: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that the other side has sent, as they came; Python 3.13 has it for all."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return tuple(public())
    found = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return tuple(one.public_bytes(_ssl.ENCODING_DER) for one in found or ())


def certificates_in(file: Path) -> frozenset[bytes]:
    """The certificates of a PEM file, in DER. Raises: TlsFailed."""
    try:
        found = _PEM.findall(file.read_text(encoding="ascii", errors="replace"))
        return frozenset(ssl.PEM_cert_to_DER_cert(one) for one in found)
    except (OSError, ValueError) as error:
        raise TlsFailed(f"{file}: no certificates can be read from it: {error}") from error
