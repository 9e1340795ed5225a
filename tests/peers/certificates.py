"""Certificates for servers in tests, signed by an authority that nobody else trusts."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ServerCertificate:
    """A server's certificate in PEM files."""

    certificate: Path  # with the chain up to, not including, the authority
    key: Path
    authority: Path  # what a client must trust to trust this server

    def client_context(self) -> ssl.SSLContext:
        """Settings for a client that trusts this server alone, and checks its name."""
        return ssl.create_default_context(cafile=str(self.authority))

    def server_context(self) -> ssl.SSLContext:
        """Settings for a server that shows this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate(folder: Path, *names: str) -> ServerCertificate:
    """A new authority and a server certificate for `names` (localhost and 127.0.0.1), in `folder`.

    The files are named server.pem, server.key and authority.pem; `folder` is made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = ServerCertificate(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    authority = trustme.CA()
    issued = authority.issue_cert(*(names or ("localhost", "127.0.0.1")))
    authority.cert_pem.write_to_path(made.authority)
    issued.private_key_pem.write_to_path(made.key)
    made.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    made.key.chmod(0o600)
    return made
