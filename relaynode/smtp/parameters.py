"""The arguments of MAIL and RCPT: a path and ESMTP parameters (RFC 5321 4.1.1, 4.1.2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from relaynode.errors import AddressError
from relaynode.mail.address import parse_path
from relaynode.mail.status import Status
from relaynode.mail.xtext import xtext_decode
from relaynode.smtp import dsn_parameters, once
from relaynode.smtp.events import Mail, Rcpt

if TYPE_CHECKING:
    from collections.abc import Callable

# A path in brackets may hold a quoted local part with a ">" of its own.
_PATH = r'(<"(?:[^"\\]|\\.)*"@[^>]*>|<[^>]*>|[^ \t]+)(.*)\Z'
_FROM = re.compile(r"FROM:[ \t]*" + _PATH, re.IGNORECASE | re.DOTALL)
_TO = re.compile(r"TO:[ \t]*" + _PATH, re.IGNORECASE | re.DOTALL)

MAX_AUTH_CHARACTERS = 500
"""RFC 4954 section 3: what the parameter AUTH adds to the line of MAIL."""


class ParameterError(Exception):
    """The arguments cannot be accepted; `status` is the reply that says why."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        self.status = Status(code, enhanced, text)
        super().__init__(text)


# The same clients write to the same people. No line is longer than 2 KiB, so little is remembered.
@lru_cache(maxsize=128)
def parse_mail(argument: str) -> Mail:
    """The arguments of MAIL. Raises: ParameterError."""
    path, parameters = _split(_FROM, argument)
    size = _size(_value("SIZE", parameters))
    body = _body(_value("BODY", parameters))
    smtputf8 = _flag("SMTPUTF8", parameters)
    once_id = _once_id(_value(once.PARAMETER, parameters))
    auth = _auth(_value("AUTH", parameters))
    ret = _checked("RET", parameters, dsn_parameters.ret)
    envid = _checked("ENVID", parameters, dsn_parameters.envid)
    _nothing_left(parameters)
    reverse_path = _path(path, "5.1.7", allow_utf8=smtputf8)
    return Mail(reverse_path, size, body, smtputf8, path, once_id, auth, ret, envid)


@lru_cache(maxsize=128)
def parse_rcpt(argument: str) -> Rcpt:
    """The arguments of RCPT. Raises: ParameterError."""
    path, parameters = _split(_TO, argument)
    notify = _checked("NOTIFY", parameters, dsn_parameters.notify)
    orcpt = _checked("ORCPT", parameters, dsn_parameters.orcpt)
    _nothing_left(parameters)
    forward_path = _path(path, "5.1.3", allow_utf8=True)
    if not forward_path:
        raise ParameterError(553, "5.1.3", "A recipient cannot be the null path")
    return Rcpt(forward_path, path, notify, orcpt)


def _split(pattern: re.Pattern[str], argument: str) -> tuple[str, dict[str, str | None]]:
    found = pattern.match(argument)
    if found is None:
        text = f'Syntax error in parameters scanning "{argument[:80]}"'
        raise ParameterError(501, "5.5.2", text)
    return found[1], _parameters(found[2])


def _path(path: str, enhanced: str, *, allow_utf8: bool) -> str:
    try:
        return parse_path(path, allow_utf8=allow_utf8)
    except AddressError as error:
        raise ParameterError(553, enhanced, str(error)) from error


def _parameters(text: str) -> dict[str, str | None]:
    """ESMTP parameters (RFC 5321 4.1.2), keywords in upper case."""
    found: dict[str, str | None] = {}
    for word in text.split():
        written, has_value, value = word.partition("=")
        # There are letters outside ASCII whose capitals are ours; they make no keyword.
        keyword = written.upper() if written.isascii() else written
        if not keyword or keyword in found:
            raise ParameterError(501, "5.5.4", f"Syntax error in parameter {word[:40]}")
        found[keyword] = value if has_value else None
    return found


def _value(keyword: str, parameters: dict[str, str | None]) -> str | None:
    """The value of a parameter that must have one; None if it is not given."""
    if keyword not in parameters:
        return None
    value = parameters.pop(keyword)
    if not value:
        raise ParameterError(501, "5.5.4", f"{keyword} requires a value")
    return value


def _checked(keyword: str, parameters: dict[str, str | None], check: Callable[[str], str]) -> str:
    """The value of a parameter as `check` lets it pass, "" if it is not given."""
    value = _value(keyword, parameters)
    try:
        return "" if value is None else check(value)
    except ValueError as error:
        raise ParameterError(501, "5.5.4", str(error)) from error


def _size(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise ParameterError(501, "5.5.4", f"Bad SIZE value {value[:40]}")
    return int(value)


def _body(value: str | None) -> str:
    body = "" if value is None else value.upper()
    if body not in ("", "7BIT", "8BITMIME"):
        raise ParameterError(501, "5.5.4", f"Unknown BODY type {body[:40]}")
    return body


def _once_id(value: str | None) -> str:
    """As it was given: it is compared, never read."""
    if value is None:
        return ""
    try:
        if len(value) > once.MAX_ID_CHARACTERS:
            raise AddressError("the value is too long")
        xtext_decode(value)
    except AddressError as error:
        raise ParameterError(501, "5.5.4", f"{once.PARAMETER}: {error}") from error
    return value


def _auth(value: str | None) -> str:
    """As it was given: nobody here trusts it (RFC 4954 section 5), it must only make sense."""
    if value is None:
        return ""
    try:
        if len(value) > MAX_AUTH_CHARACTERS:
            raise AddressError("the value is too long")
        xtext_decode(value)
    except AddressError as error:
        raise ParameterError(501, "5.5.4", f"AUTH: {error}") from error
    return value


def _flag(keyword: str, parameters: dict[str, str | None]) -> bool:
    is_given = keyword in parameters
    if is_given and parameters.pop(keyword) is not None:
        raise ParameterError(501, "5.5.4", f"{keyword} takes no value")
    return is_given


def _nothing_left(parameters: dict[str, str | None]) -> None:
    for keyword in parameters:
        raise unknown_parameter(keyword)


def unknown_parameter(keyword: str) -> ParameterError:
    """What is said to a parameter that is not offered."""
    return ParameterError(555, "5.5.4", f"{keyword[:40]} parameter unrecognized")
