"""sendmail's logins at other hosts: AuthInfo entries, and the older default-auth-info file.

    AuthInfo:smtp.example.net "U:user" "I:authid" "P:secret" "R:realm" "M:DIGEST-MD5 CRAM-MD5"
    AuthInfo:[192.0.2.25]     "I:authid" "P=c2VjcmV0"
    AuthInfo:                 "I:authid" "P:secret"

They stand in a file of their own (FEATURE(authinfo)), where keys are whole names, or in the access
map, where a name stands for all below it and an address for all that begin so. U is whose rights
are wanted, I who logs in; one of them is enough. `=` instead of `:` means base64. cf/README of
sendmail, section "STARTTLS and SMTP AUTH".

No problem quotes a value: it is a secret.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import Problem
from relaynode.tables.keyed import parse_keyed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAG = "authinfo:"

_HAS_ENTRY = re.compile("^authinfo:", re.IGNORECASE | re.MULTILINE)
_ITEM = re.compile(r'[ \t]*"([A-Za-z])([:=])([^"]*)"')


@dataclass(frozen=True, slots=True)
class AuthInfo:
    """One login. `line` counts from 1. `is_default`: it is for whoever has no entry."""

    authid: str
    password: str = field(repr=False)
    userid: str = ""
    realm: str = ""
    mechanisms: tuple[str, ...] = ()
    line: int = 0
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class AuthInfos:
    """The entries of one file by what stands behind the tag. `covers_below`: as the access map."""

    file: str
    entries: Mapping[str, AuthInfo] = field(default_factory=dict)
    covers_below: bool = False

    def find(self, host: str, address: str) -> AuthInfo | None:
        """The entry for a server: by its name, then its address, then the one for all."""
        for key in (*self._names(host), *self._addresses(address), ""):
            if key in self.entries:
                return self.entries[key]
        return None

    def _names(self, host: str) -> Iterator[str]:
        name = host.lower().rstrip(".")
        yield name
        while self.covers_below and "." in name:
            name = name.partition(".")[2]
            yield name

    def _addresses(self, address: str) -> Iterator[str]:
        divider = ":" if ":" in address else "."
        key = f"ipv6:{address.lower()}" if divider == ":" else address
        yield f"[{address.lower()}]"
        yield key
        while self.covers_below and divider in key.removeprefix("ipv6:"):
            key = key.rpartition(divider)[0]
            yield key


def parse_authinfo(text: str, file: str) -> tuple[AuthInfos, list[Problem]]:
    """The entries of an authinfo file, and what was wrong in it."""
    return _parse(text, file, is_access=False)


def parse_access_authinfo(text: str, file: str) -> tuple[AuthInfos, list[Problem]]:
    """The AuthInfo entries of an access file, and what was wrong with them."""
    if not _HAS_ENTRY.search(text):  # a million lines need not be divided for nothing
        return AuthInfos(file, covers_below=True), []
    return _parse(text, file, is_access=True)


def parse_default_auth_info(text: str, file: str) -> tuple[AuthInfos, list[Problem]]:
    """sendmail's DefaultAuthInfo: user, authid, password, realm and mechanisms, a line each."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    userid, authid, password, realm, mechanisms, *_ = [*lines, "", "", "", "", ""]
    if not text.strip():
        return AuthInfos(file), []
    if not (userid or authid) or not password:
        problem = Problem(file, None, "has no name in line 1 or 2, or no password in line 3")
        return AuthInfos(file), [problem]
    entry = _entry(userid, authid, password, realm, mechanisms, 1, is_default=True)
    return AuthInfos(file, {"": entry}), []


def _parse(text: str, file: str, *, is_access: bool) -> tuple[AuthInfos, list[Problem]]:
    rows, problems = parse_keyed(text, file)
    if is_access:
        problems = []  # tables/access.py names what is wrong with its lines
    entries = {}
    for key in rows:
        if not key.startswith(TAG):
            if not is_access:
                row = rows[key]
                problems.append(
                    Problem(file, row.line, f"{key}: no AuthInfo:", "write AuthInfo:host")
                )
            continue
        row, name = rows[key], key.removeprefix(TAG)
        try:
            entries[name] = _value(row.value, row.line, is_default=not name)
        except ValueError as error:
            problems.append(Problem(file, row.line, f"AuthInfo:{name}: {error}", _REMEDY))
    return AuthInfos(file, entries, covers_below=is_access), problems


_REMEDY = 'write "U:user" "P:secret", each in quotes'


def _value(value: str, line: int, *, is_default: bool) -> AuthInfo:
    """Raises: ValueError, which quotes nothing."""
    items: dict[str, str] = {}
    place = 0
    while place < len(value.rstrip(" \t")):
        item = _ITEM.match(value, place)
        if item is None:
            raise ValueError("not a list of items in quotes")
        letter = item[1].upper()
        if letter not in "UIPRM" or letter in items:
            raise ValueError(f"{letter} is unknown" if letter not in "UIPRM" else f"{letter} twice")
        items[letter] = _decoded(item[3]) if item[2] == "=" else item[3]
        place = item.end()
    if not (items.get("U") or items.get("I")):
        raise ValueError("lacks U: or I:, the name")
    if not items.get("P"):
        raise ValueError("lacks P:, the password")
    user, authid, password, realm, mechanisms = (items.get(letter, "") for letter in "UIPRM")
    return _entry(user, authid, password, realm, mechanisms, line, is_default=is_default)


def _entry(
    userid: str,
    authid: str,
    password: str,
    realm: str,
    mechanisms: str,
    line: int,
    *,
    is_default: bool,
) -> AuthInfo:
    return AuthInfo(
        authid=authid or userid,
        password=password,
        userid=userid if authid and userid != authid else "",
        realm=realm,
        mechanisms=tuple(mechanisms.upper().split()),
        line=line,
        is_default=is_default,
    )


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:  # binascii.Error and UnicodeDecodeError are
        raise ValueError("= wants base64") from None
