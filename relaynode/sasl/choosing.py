"""Which mechanism is played: the quickest on a private line, the most secret one on an open one.

mechanism                 round trips   on an open line
------------------------  -----------   ----------------------------------------------
EXTERNAL                  1             never: without TLS there is no certificate
OAUTHBEARER, XOAUTH2      1             never: whoever reads the token can use it
PLAIN                     1             last: everybody reads the password
CRAM-MD5                  2             shows a digest that can be guessed at
SCRAM-SHA-256, -SHA-1     3             shows little, and the server proves itself
DIGEST-MD5                3             as CRAM-MD5, and the server proves itself
LOGIN                     3             last
GSSAPI                    3 or 4        shows nothing; only where the user names it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.sasl.challenge_response import CramMd5, DigestMd5
from relaynode.sasl.oauth import OAuthBearer, XOAuth2
from relaynode.sasl.outside import External, Gssapi
from relaynode.sasl.password import Login, Plain
from relaynode.sasl.scram import Scram

if TYPE_CHECKING:
    from collections.abc import Collection

    from relaynode.sasl.credentials import Credentials
    from relaynode.sasl.mechanism import Mechanism

_BY_ROUND_TRIPS = (
    *("EXTERNAL", "OAUTHBEARER", "XOAUTH2", "PLAIN", "CRAM-MD5"),
    *("SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "LOGIN", "GSSAPI"),
)
_BY_SECRECY = (
    *("GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5"),
    *("PLAIN", "LOGIN"),
)
_SHOWING = frozenset({"PLAIN", "LOGIN"})

NAMES = _BY_ROUND_TRIPS
"""All mechanisms that we can play."""


def shows_secret(name: str) -> bool:
    """Does whoever reads the line learn the password?"""
    return name in _SHOWING


def choose(
    offered: Collection[str],
    credentials: Credentials,
    *,
    is_private: bool,
    host: str = "",
    port: int = 0,
    service: str = "smtp",
    without: Collection[str] = (),
) -> Mechanism | None:
    """The best of the mechanisms a server offers, or None if there is none for these credentials.

    `is_private`: nobody else reads the line (TLS). `host`, `port`, `service`: whom we talk to.
    `without`: mechanisms that the server has turned down. Raises: RemoteProtocolError for a name
    or password that the mechanism cannot carry, and what `ticket` raises.
    """
    names = {name.upper() for name in offered} - {name.upper() for name in without}
    for name in _BY_ROUND_TRIPS if is_private else _BY_SECRECY:
        may_be_shown = is_private or not (credentials.is_guarded and shows_secret(name))
        if name in names and may_be_shown and _fits(name, credentials):
            return _make(name, credentials, host, port, service)
    return None


def _fits(name: str, credentials: Credentials) -> bool:
    """Do we have what it needs, and may it be used?"""
    is_named = name in credentials.mechanisms
    if credentials.mechanisms and not is_named:
        return False
    has_secret = credentials.password is not None or credentials.token is not None
    match name:
        case "EXTERNAL":  # a certificate may be for the line alone, the password for the login
            return credentials.has_certificate and (is_named or not has_secret)
        case "GSSAPI":
            return credentials.ticket is not None and is_named
        case "OAUTHBEARER" | "XOAUTH2":
            return credentials.token is not None
    return credentials.password is not None


def _make(name: str, credentials: Credentials, host: str, port: int, service: str) -> Mechanism:
    user, password = credentials.user, credentials.password or ""
    token, acting_as = credentials.token or "", credentials.acting_as
    match name:
        case "EXTERNAL":
            return External(acting_as or user)
        case "OAUTHBEARER":
            return OAuthBearer(user, token, host, port)
        case "XOAUTH2":
            return XOAuth2(user, token)
        case "PLAIN":
            return Plain(user, password, acting_as)
        case "LOGIN":
            return Login(user, password)
        case "CRAM-MD5":
            return CramMd5(user, password)
        case "DIGEST-MD5":
            realm = credentials.realm
            return DigestMd5(
                user, password, host, service=service, realm=realm, acting_as=acting_as
            )
        case "GSSAPI":
            assert credentials.ticket is not None
            return Gssapi(credentials.ticket(), acting_as)
    return Scram(name.removeprefix("SCRAM-"), user, password)
