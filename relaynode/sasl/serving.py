"""Login mechanisms as a server plays them (RFC 4422). Pure: what they need to know they ask for.

PLAIN is RFC 4616, LOGIN an expired draft, CRAM-MD5 RFC 2195, SCRAM RFC 5802 and RFC 7677, GSSAPI
RFC 4752. Whether a user exists is not to be told from what is said: one who does not is asked for
all that others are. Nobody may log in for somebody else.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from relaynode.errors import RemoteProtocolError
from relaynode.sasl.asked import (
    Challenge,
    CheckPassword,
    ScramKeys,
    WantAcceptor,
    WantKeys,
    WantPassword,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.sasl.asked import Acceptor, Exchange

TICKETS = "GSSAPI"
"""Played too, where there is an Acceptor."""

SERVED = ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN")
"""All that we can play with passwords, the one that shows least first."""

MAX_NAME_BYTES = 255
"""RFC 4616 section 2, of a name and of a password."""

MAX_TOKEN_BYTES = 9000
"""A ticket with many groups has some thousand bytes; RFC 4954 section 4 bounds the line."""

MAX_TOKENS = 4
"""Kerberos has one each way, or two."""

DECOY_ITERATIONS = 4096
"""What users without keys seem to have; RFC 7677 section 4 asks for so many at least."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CLIENT_FIRST = re.compile(r"[ny],(?:a=([^,]*))?,n=([^,]+),r=[!-+\--~]+(?:,|\Z)")
_DECOY_KEY = secrets.token_bytes(32)


def serve(name: str, initial: bytes | None, hostname: str) -> Exchange:
    """The exchange of a mechanism out of SERVED. `initial`: what came along with its name, b"" for
    an empty response, None for nothing."""
    match name:
        case "PLAIN":
            return _plain(initial)
        case "LOGIN":
            return _login(initial)
        case "CRAM-MD5":
            return _cram_md5(initial, hostname)
        case "GSSAPI":
            return _gssapi(initial)
    return _scram(initial, name.removeprefix("SCRAM-"))


def _plain(initial: bytes | None) -> Exchange:
    message = (yield Challenge(b"")) if initial is None else initial
    fields = _text("PLAIN", message, 3 * MAX_NAME_BYTES + 2).split("\0")
    if len(fields) != 3 or not fields[1] or not fields[2]:
        raise RemoteProtocolError("PLAIN: not three fields")
    acting_as, user, password = fields
    user = _name("PLAIN", user)
    is_right = yield CheckPassword(user, password)
    return user if is_right and acting_as in ("", user) else None


def _login(initial: bytes | None) -> Exchange:
    name = (yield Challenge(b"Username:")) if initial is None else initial
    user = _name("LOGIN", _text("LOGIN", name))
    password = _text("LOGIN", (yield Challenge(b"Password:")))
    if "\0" in password:
        raise RemoteProtocolError("LOGIN: a NUL in the password")
    return user if (yield CheckPassword(user, password)) else None


def _cram_md5(initial: bytes | None, hostname: str) -> Exchange:
    if initial:
        raise RemoteProtocolError("CRAM-MD5: the server speaks first")
    challenge = f"<{secrets.token_hex(12)}@{hostname}>".encode()
    response = _text("CRAM-MD5", (yield Challenge(challenge)), MAX_NAME_BYTES + 33)
    name, _, given = response.rpartition(" ")
    user = _name("CRAM-MD5", name)
    password: str | None = yield WantPassword(user)
    right = hmac.new((password or "").encode(), challenge, "md5").hexdigest()
    is_right = hmac.compare_digest(given.lower().encode(), right.encode())
    return user if is_right and password is not None else None


def _gssapi(initial: bytes | None) -> Exchange:
    token = (yield Challenge(b"")) if initial is None else initial
    context: Acceptor = yield WantAcceptor()
    for _ in range(MAX_TOKENS):
        answer = context.step(_token(token))
        if context.is_complete:
            break
        token = yield Challenge(answer)
    else:
        raise RemoteProtocolError("GSSAPI: there is no end to it")
    if answer and (yield Challenge(answer)):
        raise RemoteProtocolError("GSSAPI: a token behind the last one")
    # RFC 4752 3.1: no security layer is offered, and no buffer for one.
    chosen = context.unwrap(_token((yield Challenge(context.wrap(b"\1\0\0\0")))))
    if len(chosen) < 4 or chosen[:4] != b"\1\0\0\0":
        raise RemoteProtocolError("GSSAPI: a layer that was not offered")
    acting_as = _text("GSSAPI", chosen[4:])
    user = context.user and _name("GSSAPI", context.user)
    return user if user and acting_as in ("", user) else None


def _token(data: bytes) -> bytes:
    if not data or len(data) > MAX_TOKEN_BYTES:
        raise RemoteProtocolError("GSSAPI: no token")
    return data


def _scram(initial: bytes | None, digest: str) -> Exchange:
    mechanism = f"SCRAM-{digest}"
    first = _text(mechanism, (yield Challenge(b"")) if initial is None else initial, 2048)
    user = _scram_user(mechanism, first)
    keys: ScramKeys | None = yield WantKeys(user, digest)
    server = _scram_server(mechanism, keys or _decoy(user, digest))
    _do(mechanism, lambda: server.set_client_first(first))
    challenge: str = _do(mechanism, server.get_server_first)
    final = _text(mechanism, (yield Challenge(challenge.encode())), 2048)
    try:
        _do(mechanism, lambda: server.set_client_final(final))
    except RemoteProtocolError:
        return None  # a wrong password and nonsense look alike to the library
    if keys is None:
        return None
    signature: str = _do(mechanism, server.get_server_final)
    yield Challenge(signature.encode())
    return user


def _scram_user(mechanism: str, first: str) -> str:
    """Who it is. RFC 5802 section 7: no reserved attribute, no channel that we would bind to."""
    found = _CLIENT_FIRST.match(first)
    if found is None:
        raise RemoteProtocolError(f"{mechanism}: the first message makes no sense")
    acting_as, name = found[1], found[2]
    if acting_as not in (None, "", name):
        raise RemoteProtocolError(f"{mechanism}: nobody may log in for somebody else")
    return _name(mechanism, name.replace("=2C", ",").replace("=3D", "="))


def _scram_server(mechanism: str, keys: ScramKeys) -> Any:
    from scramp import ScramMechanism

    known = (keys.salt, keys.stored_key, keys.server_key, keys.iterations)
    return _do(mechanism, lambda: ScramMechanism(mechanism).make_server(lambda _: known))


def _decoy(user: str, digest: str) -> ScramKeys:
    """Keys that nobody has, the same each time as long as we run."""
    salt = hmac.digest(_DECOY_KEY, f"{digest} {user}".encode(), sha256)[:16]
    size = 20 if digest == "SHA-1" else 32
    return ScramKeys(salt, DECOY_ITERATIONS, secrets.token_bytes(size), secrets.token_bytes(size))


def _text(mechanism: str, data: bytes, limit: int = MAX_NAME_BYTES) -> str:
    if len(data) > limit:
        raise RemoteProtocolError(f"{mechanism}: the response is too long")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"{mechanism}: the response is not UTF-8") from None


def _name(mechanism: str, name: str) -> str:
    if not name or len(name.encode()) > MAX_NAME_BYTES or _CONTROL.search(name):
        raise RemoteProtocolError(f"{mechanism}: the name cannot be one")
    return name


def _do(mechanism: str, step: Callable[[], Any]) -> Any:
    """A step of the library, whose errors may quote what it was given."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - it lets more than its own through
        kind = type(error).__name__
        raise RemoteProtocolError(f"{mechanism}: not understood ({kind})") from None
