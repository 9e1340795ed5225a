"""What TLS and logins are to an SMTP server session: STARTTLS (RFC 3207), AUTH (RFC 4954).

    AUTH PLAIN AGEAYgBj             AuthStart(mechanism, initial)   ──► challenge, or reply
    334 ...                                                          ◄── challenge
    AGEAYgBj                        AuthResponse(data)              ──► challenge, or reply
    *                               AuthCancelled, 501

`server.py` asks here what is offered, what a command that comes too early is told, and what a line
of the dialogue means; who may log in is the driver's affair.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace

from relaynode.mail.status import Status
from relaynode.smtp.events import AuthCancelled, AuthResponse, AuthStart

MAX_AUTH_LINE_BYTES = 12288
"""RFC 4954 section 4: base64 lines of that length at least, line end included."""

_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}\Z")
_BOUND = frozenset({"MAIL", "VRFY", "EXPN", "ETRN"})
"""Commands that want a login first, where one is demanded; the others are of no use without."""

NO_BASE64 = Status(501, "5.5.2", "Cannot decode base64")
CANCELLED = Status(501, "5.7.0", "Authentication cancelled")
INJECTED = Status(554, "5.5.0", "Bytes in the clear behind STARTTLS: they could be anybody's")
TOO_LONG = Status(500, "5.5.6", "Authentication exchange line is too long")
_NO_TLS = Status(454, "4.7.0", "TLS not available")
_TLS_FIRST = Status(530, "5.7.0", "Must issue a STARTTLS command first")
_LOGIN_FIRST = Status(530, "5.7.0", "Authentication required")
_ENCRYPT = Status(538, "5.7.11", "Encryption required for authentication: say STARTTLS")
_ACTIVE = Status(503, "5.5.1", "TLS is active already")
_TOO_LATE = Status(503, "5.5.1", "Already authenticated")
_NO_PARAMETERS = Status(501, "5.5.4", "Syntax error (no parameters allowed)")


@dataclass(frozen=True, slots=True)
class Security:
    """What holds for one session, and how far it has come.

    `offers_tls`: there is a certificate to say STARTTLS with. `mechanisms`: those that accounts can
    use. `allows_plain`: logins may be seen by whoever reads the line. `demands_login`: nobody sends
    mail without. `is_private`: TLS is up. `is_logged_in`: somebody has shown who he is.
    """

    offers_tls: bool = False
    mechanisms: tuple[str, ...] = ()
    allows_plain: bool = False
    demands_login: bool = False
    is_private: bool = False
    is_logged_in: bool = False

    @property
    def may_start_tls(self) -> bool:
        """Is STARTTLS offered now?"""
        return self.offers_tls and not self.is_private and not self.is_logged_in

    @property
    def may_log_in(self) -> bool:
        """Is AUTH offered now? RFC 4954 section 4: not again to one who is in."""
        is_safe = self.is_private or self.allows_plain
        return bool(self.mechanisms) and is_safe and not self.is_logged_in

    @property
    def keywords(self) -> tuple[str, ...]:
        """What the answer to EHLO says of all this."""
        tls = ("STARTTLS",) if self.may_start_tls else ()
        auth = (f"AUTH {' '.join(self.mechanisms)}",) if self.may_log_in else ()
        return (*tls, *auth)

    def refusal_of(self, verb: str) -> Status | None:
        """What a command is told that comes before the login that is demanded."""
        if not self.demands_login or verb not in _BOUND:
            return None
        return self.demand

    @property
    def demand(self) -> Status | None:
        """What is said where nothing goes without a login; None to one who is in."""
        if self.is_logged_in:
            return None
        return _TLS_FIRST if self.may_start_tls and not self.may_log_in else _LOGIN_FIRST

    def starttls(self, rest: str) -> Status | None:
        """What is wrong with STARTTLS now; None if nothing is."""
        if rest:
            return _NO_PARAMETERS
        if self.is_private:
            return _ACTIVE
        if self.is_logged_in:
            return _TOO_LATE
        return None if self.offers_tls else _NO_TLS

    def under_tls(self) -> Security:
        """The same when TLS is up."""
        return replace(self, is_private=True, is_logged_in=False)

    def logged_in(self) -> Security:
        """The same when somebody has shown who he is."""
        return replace(self, is_logged_in=True)

    def auth(self, rest: str) -> AuthStart | Status:
        """What AUTH with these arguments begins, or what it is told."""
        words = rest.split()
        mechanism = words[0].upper() if words else ""
        if self.is_logged_in:
            return _TOO_LATE
        if len(words) not in (1, 2) or not _MECHANISM.match(mechanism):
            return Status(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
        if not self.may_log_in:
            return _ENCRYPT
        if mechanism not in self.mechanisms:
            return Status(504, "5.5.4", f"AUTH mechanism {mechanism} not available")
        if len(words) == 1:
            return AuthStart(mechanism, None)
        # RFC 4954 section 4: a lone equals sign is a response that is there and empty.
        initial = b"" if words[1] == "=" else decoded(words[1].encode())
        return NO_BASE64 if initial is None else AuthStart(mechanism, initial)


def response(line: bytes) -> AuthResponse | AuthCancelled | None:
    """What a line of the exchange says; None if it is no base64."""
    if line == b"*":
        return AuthCancelled()
    data = decoded(line)
    return None if data is None else AuthResponse(data)


def decoded(text: bytes) -> bytes | None:
    """Out of base64, None if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def challenge_line(data: bytes) -> Status:
    """A challenge as a reply."""
    return Status(334, "", base64.b64encode(data).decode())
