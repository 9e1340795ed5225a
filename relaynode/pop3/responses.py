"""What a POP3 client responds in a login: base64 (RFC 5034), and the name and password of PLAIN.

The responses of all other mechanisms are read by the driver.
"""

from __future__ import annotations

import base64
import binascii
import re

from relaynode.errors import RemoteProtocolError
from relaynode.pop3.events import LoginAttempt

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def unpacked(text: bytes) -> bytes:
    """What base64 stands for. Raises: RemoteProtocolError."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RemoteProtocolError("the response is not base64") from None


def plain_login(response: bytes) -> LoginAttempt:
    """Name and password of a response of PLAIN. Raises: RemoteProtocolError."""
    # RFC 4616 2: authorization identity, NUL, authentication identity, NUL, password.
    try:
        message = unpacked(response).decode("utf-8")
    except (RemoteProtocolError, UnicodeDecodeError):
        raise RemoteProtocolError("the response is not base64 of UTF-8") from None
    fields = message.split("\0")
    if len(fields) != 3 or not fields[1] or not fields[2]:
        raise RemoteProtocolError("the response is not one of PLAIN")
    acting_for, user, password = fields
    if _CONTROL.search(user):
        raise RemoteProtocolError("control characters are not possible in a name")
    if acting_for not in ("", user):
        raise RemoteProtocolError("logging in for somebody else is not possible")
    return LoginAttempt(user, password)
