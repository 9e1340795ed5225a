"""Secrets as they are stored: hashed, as SCRAM keys, or plain. Parsing and checking, no files.

    $scrypt$ln=14,r=8,p=1$SALT$HASH        base64 without its padding (PHC, passlib)
    $7$C6..../....SALT$HASH                scrypt of crypt(5)
    $6$SALT$HASH                           SHA-512 of crypt(5) (sha512_crypt.py)
    $argon2id$v=19$m=65536,t=3,p=4$...     with the package argon2-cffi (extra argon2)
    {SCRAM-SHA-256}4096,SALT,STORED,SERVER what `doveadm pw` writes; also {SCRAM-SHA-1}
    {PLAIN}secret                          for CRAM-MD5, and for all others

A name in braces before a hash ({CRYPT}, {ARGON2ID}) is Dovecot's and says nothing more. Checking a
hash is slow on purpose: never on the event loop.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import importlib.util
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from relaynode.accounts import sha512_crypt
from relaynode.sasl.asked import ScramKeys

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SCRYPT_BYTES = 256 * 1024 * 1024
"""Memory that one check may take; 128 * N * r (RFC 7914 section 2)."""

MAX_ITERATIONS = 10_000_000
"""Of SCRAM keys: the client does this work."""

LOG_N, BLOCK, LANES = 15, 8, 1
"""What new hashes cost: 32 MiB, a tenth of a second."""

_SCHEME = re.compile(r"\{([A-Za-z0-9.-]{1,32})\}")
_SCRYPT = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,4}),p=([0-9]{1,4})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_CRYPT7 = re.compile(
    r"\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})([^$]*)\$([./0-9A-Za-z]{43})"
)
_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_KEY = secrets.token_bytes(32)
_SCRAM_SIZES = {"SHA-1": 20, "SHA-256": 32}


class Secret(Protocol):
    """What is kept of one password. `mechanisms`: those that it is enough for."""

    @property
    def mechanisms(self) -> frozenset[str]: ...

    def is_password(self, password: str) -> bool:
        """Is this it? Slow, and takes the same time whatever is wrong with it."""
        ...

    def plain(self) -> str | None:
        """The password as it is, if it is kept so."""
        ...

    def keys(self, digest: str) -> ScramKeys | None:
        """The keys for SCRAM with "SHA-1" or "SHA-256"."""
        ...


SHOWN = frozenset({"PLAIN", "LOGIN"})
"""Mechanisms that bring the password itself: any secret will do."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A hash, and what checks it."""

    check: Callable[[str], bool] = field(repr=False)

    @property
    def mechanisms(self) -> frozenset[str]:
        """See Secret."""
        return SHOWN

    def is_password(self, password: str) -> bool:
        """See Secret."""
        return self.check(password)

    def plain(self) -> str | None:
        """See Secret."""
        return None

    def keys(self, digest: str) -> ScramKeys | None:
        """See Secret."""
        return None


@dataclass(frozen=True, slots=True)
class Plain:
    """The password itself: good for everything, also for who steals the file."""

    password: str = field(repr=False)

    @property
    def mechanisms(self) -> frozenset[str]:
        """See Secret."""
        return SHOWN | {"CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}

    def is_password(self, password: str) -> bool:
        """See Secret."""
        return hmac.compare_digest(password.encode(), self.password.encode())

    def plain(self) -> str | None:
        """See Secret."""
        return self.password

    def keys(self, digest: str) -> ScramKeys | None:
        """See Secret. The salt stays the same: names that exist are not to be told by it."""
        salt = hmac.digest(_SALT_KEY, f"{digest} {self.password}".encode(), "sha256")[:16]
        try:
            return scram_keys(self.password, digest, salt)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Scram:
    """The keys for one digest."""

    digest: str
    its: ScramKeys = field(repr=False)

    @property
    def mechanisms(self) -> frozenset[str]:
        """See Secret."""
        return SHOWN | {f"SCRAM-{self.digest}"}

    def is_password(self, password: str) -> bool:
        """See Secret."""
        known = self.its
        try:
            made = scram_keys(password, self.digest, known.salt, known.iterations)
        except ValueError:
            return False
        return hmac.compare_digest(made.stored_key, known.stored_key)

    def plain(self) -> str | None:
        """See Secret."""
        return None

    def keys(self, digest: str) -> ScramKeys | None:
        """See Secret."""
        return self.its if digest == self.digest else None


def parse_secret(text: str) -> Secret:
    """A stored secret. Raises: ValueError, without the secret in its text."""
    scheme = _SCHEME.match(text)
    name = scheme[1].upper() if scheme else ""
    rest = text[scheme.end() :] if scheme else text
    if name in ("PLAIN", "CLEARTEXT", "CLEAR"):
        if not rest:
            raise ValueError("the password is empty")
        return Plain(rest)
    if name.startswith("SCRAM-"):
        return _scram(name.removeprefix("SCRAM-"), rest)
    for begin, parse in (
        ("$scrypt$", _scrypt),
        ("$7$", _crypt7),
        ("$6$", _crypt6),
        ("$argon2", _argon2),
    ):
        if rest.startswith(begin):
            return Hashed(parse(rest))
    raise ValueError(f"no hash that is known here: {name or rest[:1] + '...'}")


def hash_password(password: str) -> str:
    """A new `$scrypt$` of it. Slow."""
    salt = secrets.token_bytes(16)
    made = _derive(password, salt, LOG_N, BLOCK, LANES, 32)
    return f"$scrypt$ln={LOG_N},r={BLOCK},p={LANES}${_bare64(salt)}${_bare64(made)}"


def scram_text(password: str, digest: str = "SHA-256") -> str:
    """New keys of it, as Dovecot writes them. Raises: ValueError."""
    keys = scram_keys(password, digest)
    parts = (keys.salt, keys.stored_key, keys.server_key)
    words = (base64.b64encode(part).decode() for part in parts)
    return f"{{SCRAM-{digest}}}{keys.iterations},{','.join(words)}"


def scram_keys(password: str, digest: str, salt: bytes = b"", iterations: int = 4096) -> ScramKeys:
    """RFC 5802 section 3, of a password that SASLprep (RFC 4013) takes. Raises: ValueError."""
    from scramp.core import saslprep

    name = digest.replace("-", "").lower()
    try:
        prepared: str = saslprep(password)
    except Exception:  # noqa: BLE001 - of the library's own kinds
        raise ValueError("the password has letters that SASLprep forbids") from None
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac(name, prepared.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", name)
    stored_key = hashlib.new(name, client_key).digest()
    return ScramKeys(salt, iterations, stored_key, hmac.digest(salted, b"Server Key", name))


def _scram(digest: str, text: str) -> Secret:
    size, fields = _SCRAM_SIZES.get(digest), text.split(",")
    if size is None or len(fields) != 4 or not fields[0].isascii() or not fields[0].isdigit():
        raise ValueError(f"no keys of SCRAM-{digest}: iterations,salt,stored key,server key")
    try:
        salt, stored_key, server_key = (base64.b64decode(one, validate=True) for one in fields[1:])
    except binascii.Error:
        raise ValueError(f"SCRAM-{digest}: a key is no base64") from None
    iterations = int(fields[0])
    is_sane = 4096 <= iterations <= MAX_ITERATIONS and salt
    if not is_sane or len(stored_key) != size or len(server_key) != size:
        raise ValueError(f"SCRAM-{digest}: keys of a wrong size, or iterations below 4096")
    return Scram(digest, ScramKeys(salt, iterations, stored_key, server_key))


def _scrypt(text: str) -> Callable[[str], bool]:
    found = _SCRYPT.fullmatch(text)
    if found is None:
        raise ValueError("no $scrypt$ hash: $scrypt$ln=N,r=N,p=N$SALT$HASH")
    salt, right = _from_bare64(found[4]), _from_bare64(found[5])
    return _scrypt_check(salt, right, int(found[1]), int(found[2]), int(found[3]))


def _crypt7(text: str) -> Callable[[str], bool]:
    found = _CRYPT7.fullmatch(text)
    if found is None:
        raise ValueError("no $7$ hash")
    right = (
        b"".join(_number(found[5][at : at + 4]).to_bytes(3, "little") for at in range(0, 40, 4))
        + _number(found[5][40:]).to_bytes(3, "little")[:2]
    )
    costs = _number(found[1]), _number(found[2]), _number(found[3])
    return _scrypt_check(found[4].encode(), right, *costs)


def _crypt6(text: str) -> Callable[[str], bool]:
    salt, rounds, right = sha512_crypt.parse(text)
    return lambda password: sha512_crypt.is_password(password, salt, rounds, right)


def _scrypt_check(
    salt: bytes, right: bytes, log_n: int, block: int, lanes: int
) -> Callable[[str], bool]:
    if not (0 < log_n < 32 and block and 0 < lanes <= 16 and len(right) >= 16):
        raise ValueError("scrypt: costs that make no sense")
    if 128 * block << log_n > MAX_SCRYPT_BYTES:
        raise ValueError("scrypt: a check would take more than 256 MiB")
    return lambda password: hmac.compare_digest(
        _derive(password, salt, log_n, block, lanes, len(right)), right
    )


def _derive(password: str, salt: bytes, log_n: int, block: int, lanes: int, size: int) -> bytes:
    most = (128 * block << log_n) + 128 * block * (lanes + 2) + 1024 * 1024
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << log_n, r=block, p=lanes, maxmem=most, dklen=size
    )


def _argon2(text: str) -> Callable[[str], bool]:
    if importlib.util.find_spec("argon2") is None:
        raise ValueError("argon2 needs the package argon2-cffi: pip install relaynode[argon2]")
    import argon2

    try:
        argon2.extract_parameters(text)
    except Exception:  # noqa: BLE001 - of the library's own kinds
        raise ValueError("no $argon2 hash") from None
    return lambda password: _argon2_check(argon2, text, password)


def _argon2_check(argon2: Any, text: str, password: str) -> bool:
    try:
        return bool(argon2.PasswordHasher().verify(text, password))
    except argon2.exceptions.Argon2Error:
        return False


def _number(letters: str) -> int:
    """crypt's own base64: the first letter has the lowest bits."""
    return sum(_LETTERS.index(one) << 6 * place for place, one in enumerate(letters))


def _bare64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _from_bare64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("the salt or the hash is no base64") from None
