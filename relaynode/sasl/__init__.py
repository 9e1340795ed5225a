"""SASL mechanisms as a client plays them (RFC 4422), for any protocol that carries them. Pure.

One file a family; `choosing.py` says which is tried, and in which order. How messages are written
on the line (base64, the sign for an empty one, the sign that calls it off) is the protocol's
affair. No mechanism asks for a security layer: the line is made private by TLS.
"""

from relaynode.sasl.challenge_response import CramMd5, DigestMd5
from relaynode.sasl.choosing import NAMES, choose, shows_secret
from relaynode.sasl.credentials import Credentials
from relaynode.sasl.mechanism import Mechanism
from relaynode.sasl.oauth import OAuthBearer, XOAuth2
from relaynode.sasl.outside import External, Gssapi, SecurityContext
from relaynode.sasl.password import Login, Plain
from relaynode.sasl.scram import Scram

__all__ = [
    "NAMES",
    "CramMd5",
    "Credentials",
    "DigestMd5",
    "External",
    "Gssapi",
    "Login",
    "Mechanism",
    "OAuthBearer",
    "Plain",
    "Scram",
    "SecurityContext",
    "XOAuth2",
    "choose",
    "shows_secret",
]
