"""Names of mailboxes, as the line has them: modified UTF-7 (RFC 3501 section 5.1.3).

Entwürfe  ↔  Entw&APw-rfe        R&D  ↔  R&-D
"""

from __future__ import annotations

import base64
import re

from relaynode.errors import LocalProtocolError

_OUTSIDE = re.compile("[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def encode(name: str) -> bytes:
    """A name as it is sent. Raises: LocalProtocolError for one that cannot be."""
    if not name or re.search("[\x00-\x1f\x7f\ud800-\udfff]", name):
        raise LocalProtocolError("this cannot be the name of a folder")
    if name.upper() == "INBOX":
        return b"INBOX"
    return _OUTSIDE.sub(_shift, name.replace("&", "&-")).encode("ascii")


def _shift(found: re.Match[str]) -> str:
    packed = base64.b64encode(found[0].encode("utf-16-be"))
    return "&" + packed.decode("ascii").rstrip("=").replace("/", ",") + "-"


def decode(name: bytes) -> str:
    """A name as people read it; what is no modified UTF-7 stays as it is."""
    text = name.decode("utf-8", "replace")
    return _SHIFTED.sub(_unshift, text)


def _unshift(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    packed = found[1].replace(",", "/")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("utf-16-be")
    except ValueError:
        return found[0]
