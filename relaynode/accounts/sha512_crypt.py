"""The `$6$` hash of crypt(5), as /etc/shadow and Dovecot's SHA512-CRYPT have it.

    $6$rounds=5000$SALT$HASH        86 letters for 64 bytes; rounds may be left out

After Ulrich Drepper's specification, "Unix crypt using SHA-256 and SHA-512". Only for checking what
others have written: new hashes are scrypt's.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha512

DEFAULT_ROUNDS, LEAST_ROUNDS, MOST_ROUNDS = 5000, 1000, 1_000_000
"""The specification allows 999,999,999: minutes of work for one login."""

MAX_SALT_BYTES = 16

_FORM = re.compile(r"\$6\$(?:rounds=([0-9]{1,9})\$)?([^$:\n]{0,64})\$([./0-9A-Za-z]{86})")
_LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def parse(text: str) -> tuple[bytes, int, str]:
    """Salt, rounds and hash. Raises: ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("no $6$ hash")
    rounds = max(int(found[1] or DEFAULT_ROUNDS), LEAST_ROUNDS)
    if rounds > MOST_ROUNDS:
        raise ValueError(f"$6$: more than {MOST_ROUNDS} rounds")
    return found[2].encode()[:MAX_SALT_BYTES], rounds, found[3]


def is_password(password: str, salt: bytes, rounds: int, right: str) -> bool:
    """Is it the one that was hashed?"""
    return hmac.compare_digest(sha512_crypt(password.encode(), salt, rounds), right)


def sha512_crypt(key: bytes, salt: bytes, rounds: int) -> str:
    """The last part of the hash. The numbers are the steps of the specification."""
    inner = sha512(key + salt + key).digest()  # 4 to 8
    first = sha512(key + salt + _repeated(inner, len(key)))  # 1 to 10
    bits = len(key)
    while bits:  # 11
        first.update(inner if bits & 1 else key)
        bits >>= 1
    digest = first.digest()  # 12
    of_key = _repeated(sha512(key * len(key)).digest(), len(key))  # 13 to 16
    of_salt = _repeated(sha512(salt * (16 + digest[0])).digest(), len(salt))  # 17 to 20
    for number in range(rounds):  # 21
        one = of_key if number & 1 else digest
        one += (of_salt if number % 3 else b"") + (of_key if number % 7 else b"")
        digest = sha512(one + (digest if number & 1 else of_key)).digest()
    return _letters(digest)


def _repeated(block: bytes, size: int) -> bytes:
    return (block * (size // len(block) + 1))[:size]


def _letters(digest: bytes) -> str:
    """22: groups of three bytes that are 21 apart, turned on by one place each time."""
    text = ""
    for group in range(21):
        places = [(group + 21 * each) % 63 for each in range(3)]
        turn = group % 3
        a, b, c = (digest[place] for place in places[turn:] + places[:turn])
        text += _four(a << 16 | b << 8 | c, 4)
    return text + _four(digest[63], 2)


def _four(value: int, count: int) -> str:
    return "".join(_LETTERS[value >> 6 * place & 63] for place in range(count))
