"""The parameters of MAIL and RCPT that ask for delivery status notifications (RFC 3461 section 4).

The values are kept as they are given: xtext is passed on and quoted, never acted upon.
"""

from __future__ import annotations

import re

from relaynode.errors import AddressError
from relaynode.mail.xtext import xtext_decode

MAX_ENVID_CHARACTERS = 100
"""RFC 3461 4.4."""

MAX_ORCPT_CHARACTERS = 500
"""RFC 3461 4.2."""

_NOTIFY = frozenset(("SUCCESS", "FAILURE", "DELAY"))
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_PRINTABLE = re.compile(r"[ -~]+\Z")


def ret(value: str) -> str:
    """RET in upper case. Raises: ValueError with what is wrong."""
    if value.upper() not in ("FULL", "HDRS"):
        raise ValueError("RET must be FULL or HDRS")
    return value.upper()


def envid(value: str) -> str:
    """ENVID as it was given. Raises: ValueError."""
    _check("ENVID", value, MAX_ENVID_CHARACTERS)
    return value


def notify(value: str) -> str:
    """NOTIFY in upper case. Raises: ValueError."""
    words = value.upper().split(",")
    if words != ["NEVER"] and (len(set(words)) != len(words) or not _NOTIFY.issuperset(words)):
        raise ValueError("NOTIFY must be NEVER, or a list of SUCCESS, FAILURE, DELAY")
    return ",".join(words)


def orcpt(value: str) -> str:
    """ORCPT as it was given, "type;address". Raises: ValueError."""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not _ADDRESS_TYPE.match(kind):
        raise ValueError("ORCPT must be type;address")
    if len(value) > MAX_ORCPT_CHARACTERS:
        raise ValueError(f"ORCPT is longer than {MAX_ORCPT_CHARACTERS} characters")
    _check("ORCPT", address, MAX_ORCPT_CHARACTERS)
    return value


def _check(keyword: str, value: str, max_characters: int) -> None:
    """It is xtext, and what it stands for can stand in a report."""
    if len(value) > max_characters:
        raise ValueError(f"{keyword} is longer than {max_characters} characters")
    try:
        decoded = xtext_decode(value)
    except AddressError as error:
        raise ValueError(f"{keyword}: {error}") from error
    if not _PRINTABLE.match(decoded):
        raise ValueError(f"{keyword} is not printable")
