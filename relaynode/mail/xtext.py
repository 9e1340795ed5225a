"""xtext, the coding of ENVID and ORCPT values in SMTP commands (RFC 3461 section 4).

Printable ASCII stands for itself, except "+" and "="; any other octet is "+" and two upper-case
hexadecimal digits.
"""

from __future__ import annotations

import re

from relaynode.errors import AddressError

_MUST_ENCODE = re.compile(rb"[^!-*,-<>-~]")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEX = re.compile(rb"\+([0-9A-F]{2})")


def xtext_encode(text: str) -> str:
    """`text` as xtext; characters outside ASCII by their UTF-8 octets."""
    octets = text.encode("utf-8", "surrogateescape")
    return _MUST_ENCODE.sub(lambda match: b"+%02X" % ord(match.group()), octets).decode("ascii")


def xtext_decode(xtext: str) -> str:
    """What `xtext` stands for. The result may hold any character, line ends too: clean it.

    Raises: AddressError if it is not xtext.
    """
    if not _XTEXT.fullmatch(xtext):
        raise AddressError("the value is not xtext (RFC 3461 section 4)")
    octets = _HEX.sub(lambda match: bytes([int(match.group(1), 16)]), xtext.encode("ascii"))
    return octets.decode("utf-8", "surrogateescape")
