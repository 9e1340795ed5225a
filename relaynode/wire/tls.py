"""TLS contexts: verified by default, and refused by name when they cannot be made."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from relaynode.errors import TlsFailed

if TYPE_CHECKING:
    from pathlib import Path


def client_context(*, ca_file: Path | None = None, verify: bool = True) -> ssl.SSLContext:
    """A context for calling a server whose certificate must name it (RFC 9525).

    `ca_file`: trust these certificates instead of the system's. `verify=False`: encrypt, trust
    anybody; only where the user's configuration says so. Raises: TlsFailed.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise TlsFailed(f"{ca_file}: no certificates can be read from it: {error}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
