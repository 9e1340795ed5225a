"""Taylor's `call` and `passwd` files: the logins we use, and those that callers must have.

    call:    SYSTEM LOGIN PASSWORD
    passwd:  LOGIN PASSWORD        or  LOGIN:PASSWORD[:...], as in /etc/passwd

Both words may have the escapes of a chat script's expect string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.config.taylor_reader import lines_of
from relaynode.config.values import Password
from relaynode.uucp.chat import unescape

if TYPE_CHECKING:
    from relaynode.config.taylor_keywords import Problems


@dataclass(frozen=True, slots=True)
class Login:
    """A name and its password."""

    name: str
    password: Password


def unescaped(word: str) -> str:
    r"""With `\s`, `\101`, `\x41` and so on replaced. Raises: ValueError."""
    return unescape(word).decode("utf-8", "surrogateescape")


def read_calls(file_text: str, problems: Problems) -> dict[str, Login]:
    """The logins to call with, by system; the first of a system counts."""
    found: dict[str, Login] = {}
    for line in lines_of(file_text):
        if len(line.words) != 3:
            problems.add(line.number, "a line has three words: system, login and password")
            continue
        system, *pair = line.words
        login = _login(pair, line.number, problems)
        if login is not None:
            found.setdefault(system, login)
    return found


def read_passwords(file_text: str, problems: Problems) -> dict[str, Password]:
    """The passwords of those who may log in, by login; the first of a login counts."""
    found: dict[str, Password] = {}
    for line in lines_of(file_text):
        words = list(line.words)
        if ":" in words[0]:  # what stands behind the password is not ours: numbers, names, a shell
            words = words[0].split(":")[:2]
        if len(words) != 2 or not all(words):
            problems.add(line.number, "a line has two words: login and password")
            continue
        login = _login([words[0], words[1].partition(":")[0]], line.number, problems)
        if login is not None:
            found.setdefault(login.name, login.password)
    return found


def _login(pair: list[str], line: int, problems: Problems) -> Login | None:
    try:
        name, password = map(unescaped, pair)
    except ValueError:  # its text has the word, which may be the password
        problems.add(line, "an escape that means nothing", "a backslash is written twice")
        return None
    return Login(name, Password(password))
