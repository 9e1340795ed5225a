"""A token in place of a password: OAUTHBEARER (RFC 7628) and the older XOAUTH2.

Whoever reads the token may use it, so these are for TLS only. When a server does not like the token
it says why in a challenge, as JSON, and wants an answer before it refuses:

    {"status":"invalid_token","scope":"https://mail.example/"}
"""

from __future__ import annotations

import json
import re

from relaynode.errors import RemoteProtocolError
from relaynode.sasl.mechanism import OneMessage

MAX_TOLD = 200
"""Letters of a server's reason that are kept."""


class _Bearer(OneMessage):
    """What both have in common: one message, and an error that is answered."""

    def __init__(self, message: str, acknowledgement: bytes) -> None:
        super().__init__(message.encode())
        self._acknowledgement = acknowledgement

    def respond(self, challenge: bytes) -> bytes:
        """The message if it was ignored, else the acknowledgement of an error."""
        if not challenge:
            return super().respond(challenge)
        if self.told:
            raise RemoteProtocolError(f"{self.name}: a second error")
        self.told = _reason(challenge)
        return self._acknowledgement


class OAuthBearer(_Bearer):
    """RFC 7628 section 3.1: user, host and port beside the token."""

    name = "OAUTHBEARER"

    def __init__(self, user: str, token: str, host: str, port: int = 0) -> None:
        name = user.replace("=", "=3D").replace(",", "=2C")
        where = f"host={host}\1" + (f"port={port}\1" if port else "")
        # 3.2.3: an error is answered by a lone %x01.
        super().__init__(f"n,a={name},\1{where}auth=Bearer {token}\1\1", b"\1")


class XOAuth2(_Bearer):
    """As Google and Microsoft describe it; an error is answered by an empty line."""

    name = "XOAUTH2"

    def __init__(self, user: str, token: str) -> None:
        super().__init__(f"user={user}\1auth=Bearer {token}\1\1", b"")


def _reason(challenge: bytes) -> str:
    """What the server says, in one line; whatever it sent."""
    text = challenge.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        words = [str(found[key]) for key in ("status", "error_description") if key in found]
        text = ": ".join(words) or text
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)[:MAX_TOLD].strip() or "no reason"
