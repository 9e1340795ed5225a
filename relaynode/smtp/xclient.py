"""XCLIENT, the server's side: a proxy that we trust says which client it speaks for.

An extension of Postfix (its XCLIENT_README): `XCLIENT NAME=... ADDR=... HELO=...` with values as
xtext; the answer is a new greeting, and the session starts anew. `[UNAVAILABLE]`: it is not known;
`[TEMPUNAVAIL]`: it may be known later. An IPv6 address is written `IPV6:...`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, fields, replace

from relaynode.errors import AddressError
from relaynode.mail.xtext import xtext_decode

ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
KEYWORD = "XCLIENT " + " ".join(ATTRIBUTES)

UNAVAILABLE = "[UNAVAILABLE]"
TEMPORARILY_UNAVAILABLE = "[TEMPUNAVAIL]"

_NAME = re.compile(r"[!-~]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a proxy says of its client. None: it says nothing of that.

    `address`: in ipaddress's form, "" if it is not known. `name`: "" if it has none.
    `is_name_unknown`: it could not be looked up now. `login`: as whom it has logged in, "" if it
    has not. `helo`: what it called itself, `protocol`: "SMTP" or "ESMTP"; "" for what counts is how
    the proxy says hello.
    """

    address: str | None = None
    name: str | None = None
    is_name_unknown: bool = False
    login: str | None = None
    helo: str | None = None
    protocol: str | None = None

    def later(self, other: Identity) -> Identity:
        """What holds when the proxy has said this and then the other."""
        said = {field.name: getattr(other, field.name) for field in fields(other)}
        known = {name: value for name, value in said.items() if value is not None}
        if other.name is None:
            del known["is_name_unknown"]
        return replace(self, **known)


def parse_xclient(argument: str) -> Identity:
    """The attributes of one XCLIENT command. Raises: ValueError with what is wrong."""
    values: dict[str, str] = {}
    for word in argument.split():
        keyword, has_value, value = word.partition("=")
        keyword = keyword.upper()
        if keyword not in ATTRIBUTES or not has_value or keyword in values:
            raise ValueError(f"Bad attribute: {word[:40]}")
        values[keyword] = _decoded(keyword, value)
    if not values:
        raise ValueError("XCLIENT wants attributes")
    if "PROTO" in values and values["PROTO"].upper() not in ("SMTP", "ESMTP"):
        raise ValueError("Bad PROTO")
    name = values.get("NAME")
    return Identity(
        address=_address(values["ADDR"]) if "ADDR" in values else None,
        name=_known(name),
        is_name_unknown=name is not None and name.upper() == TEMPORARILY_UNAVAILABLE,
        login=_known(values.get("LOGIN")),
        helo=_known(values.get("HELO")),
        protocol=values["PROTO"].upper() if "PROTO" in values else None,
    )


def _decoded(keyword: str, value: str) -> str:
    try:
        text = xtext_decode(value)
    except AddressError as error:
        raise ValueError(f"Bad {keyword}: {error}") from error
    if not _NAME.match(text):
        raise ValueError(f"Bad {keyword}")
    return text


def _known(value: str | None) -> str | None:
    if value is None:
        return None
    return "" if value.upper() in (UNAVAILABLE, TEMPORARILY_UNAVAILABLE) else value


def _address(value: str) -> str:
    if not _known(value):
        return ""
    text = value[5:] if value.upper().startswith("IPV6:") else value
    if "%" in text:
        raise ValueError("Bad ADDR")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("Bad ADDR") from None
