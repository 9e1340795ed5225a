"""The client's side of TLS to one server: whom it trusts, the last session, and what went wrong.

asyncio has no parameter for a session to resume, so the context itself hands it to each connection
(`wrap_bio`), and is given the newest one when a connection ends. So there is one context for a
server and its settings, kept for as long as the program runs (`ClientContexts`).

OpenSSL tells what it did not like in a certificate and not which certificate that was; the context
looks at the handshake as it goes by, so that the error can name what to write to accept it.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_CERTIFICATE = 11
"""The handshake message (RFC 8446 section 4, RFC 5246 section 7.4)."""

_OUTDATED = frozenset(
    {
        *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"),
        *("DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"),
        *("EE_MD_TOO_WEAK", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED", "NO_CIPHERS_AVAILABLE"),
        *("SSLV3_ALERT_HANDSHAKE_FAILURE", "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED"),
        *("WRONG_SIGNATURE_TYPE", "NO_SHARED_SIGNATURE_ALGORITHMS", "WRONG_SSL_VERSION"),
    }
)
"""What OpenSSL says of a server that can do no better than in its youth."""

# verify codes of openssl-verification-options(1)
_EXPIRED, _NOT_YET, _HOSTNAME, _ADDRESS = 10, 9, 62, 64
_NOBODY_VOUCHES = frozenset({18, 19, 20, 21})
_WEAK = frozenset({66, 67, 68})


class ClientContext(ssl.SSLContext):
    """A context that resumes sessions and can pin certificates.

    `pins`: SHA-256 of certificates in hexadecimal; with some, one of them it must be, and names and
    authorities do not matter.
    """

    pins: frozenset[str] = frozenset()
    _has_remedies = False
    _session: tuple[str | None, ssl.SSLSession] | None = None
    _newest: weakref.ref[ssl.SSLObject] | None = None
    _shown: bytes = b""

    def pin(self, fingerprints: Iterable[str]) -> None:
        """Trust these certificates, and no others."""
        self.pins = frozenset(fingerprints)
        if self.pins:
            self.check_hostname = False
            self.verify_mode = ssl.CERT_NONE

    def accept_old(self) -> None:
        """Accept what servers could twenty years ago: TLS 1.0, short keys, SHA-1, old ciphers."""
        self.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        self.set_ciphers("ALL:!aNULL:!eNULL:@SECLEVEL=0")
        self.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)

    def tell_remedies(self) -> None:
        """Let `trouble` name the keys of a smart host or account that would accept this server."""
        self._has_remedies = True
        self._msg_callback = self._note  # there since Python 3.8, for debugging

    def _note(self, _: Any, direction: str, *message: Any) -> None:
        kind, data = message[2], message[3]
        if kind == _CERTIFICATE and direction == "read":
            self._shown = _first_certificate(data) or self._shown

    # --- sessions

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        """As the base class, with the session to resume."""
        self._shown = b""
        if self._newest is not None:  # one that is still up may have been given more by now
            self.keep_session(self._newest())
        # A resumed session is not checked against a name again, so it is for that name only.
        if self._session is not None and self._session[0] == more.get("server_hostname"):
            more["session"] = self._session[1]
        connection = super().wrap_bio(*arguments, **more)
        self._newest = weakref.ref(connection)
        return connection

    def keep_session(self, connection: ssl.SSLObject | None) -> None:
        """A connection of this context ends: the next one may go on where it was."""
        is_up = connection is not None and connection.version() is not None
        session = connection.session if connection is not None and is_up else None
        if connection is not None and session is not None and session.has_ticket:
            self._session = connection.server_hostname, session

    # --- what went wrong

    def pin_trouble(self, connection: ssl.SSLObject) -> str:
        """Why this is not the pinned certificate; "" if it is, or none is pinned."""
        if not self.pins:
            return ""
        shown = _fingerprint(connection.getpeercert(binary_form=True) or b"")
        if any(hmac.compare_digest(shown, pin) for pin in self.pins):
            return ""
        self._session = None
        return f'its certificate is not the pinned one; it is "sha256:{shown}"'

    def trouble(self, error: ssl.SSLError, host: str | None) -> str:
        """What a handshake failed of, and the remedy."""
        self._session = None
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {self._complaint(error, host or '')}"
        reason = error.reason or ""
        if not self._has_remedies:
            return f"TLS failed: {_words(reason) or error.strerror or error}"
        if reason in _OUTDATED:
            return f"TLS failed: {_words(reason)}; old_tls = true accepts an old server"
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            return 'TLS failed: what it speaks is no TLS; tls = "starttls" begins without'
        if reason.startswith(("TLSV13_ALERT_CERTIFICATE", "SSLV3_ALERT_BAD_CERT")):
            return f"TLS failed: {_words(reason)}; it wants a certificate: certificate and key"
        return f"TLS failed: {_words(reason) or error.strerror or error}"

    def _complaint(self, error: ssl.SSLCertVerificationError, host: str) -> str:
        code, said = error.verify_code, error.verify_message
        if not self._has_remedies:
            return said
        pin = f'fingerprints = ["sha256:{_fingerprint(self._shown)}"]' if self._shown else ""
        accept = f"; {pin} accepts it as it is" if pin else ""
        if code == _EXPIRED:
            until = f" on {end}" if (end := _end_of(self._shown)) else ""
            return f"it has expired{until}{accept}"
        if code == _NOT_YET:
            return f"it is not valid yet; is our clock right?{accept}"
        if code in (_HOSTNAME, _ADDRESS):
            names = ", ".join(_names_of(self._shown)) or "somebody else"
            return f"it is for {names} and not for {host}{accept}"
        if code in _NOBODY_VOUCHES:
            return f"{said}; ca_file names who vouches for it{', or ' + pin if pin else ''}"
        if code in _WEAK:
            return f"{said}; old_tls = true accepts an old server"
        return f"{said}{accept}"


def _fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _first_certificate(message: bytes) -> bytes:
    """The server's own certificate out of a Certificate message, b"" if it is not there.

    TLS 1.2:  type  length3                 all3  length3  certificate ...
    TLS 1.3:  type  length3  context1 ...   all3  length3  certificate ...
    """
    for start in (4, 5 + (message[4] if len(message) > 4 else 0)):
        together = int.from_bytes(message[start : start + 3])
        size = int.from_bytes(message[start + 3 : start + 6])
        if together == len(message) - start - 3 and 0 < size <= together - 3:
            return bytes(message[start + 6 : start + 6 + size])
    return b""


def _parsed(der: bytes) -> Any:
    """What asn1crypto makes of a certificate; None if it cannot. Imported when it is needed."""
    from asn1crypto import x509

    try:
        found = x509.Certificate.load(der)
        found.native  # it parses as it is asked  # noqa: B018
    except (ValueError, TypeError, KeyError):
        return None
    return found


def _end_of(der: bytes) -> str:
    found = _parsed(der) if der else None
    return f"{found.not_valid_after:%Y-%m-%d}" if found is not None else ""


def _names_of(der: bytes) -> list[str]:
    found = _parsed(der) if der else None
    if found is None:
        return []
    names = [*found.valid_domains, *found.valid_ips]
    return ["".join(c if c.isprintable() else "?" for c in str(name))[:255] for name in names[:5]]
