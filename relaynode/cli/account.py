"""`relaynode account add|remove|list`: who is in the password file of [accounts].

A password is asked for twice on a terminal, or is the first line of standard input.
"""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from relaynode.accounts.hashes import hash_password, scram_text
from relaynode.accounts.password_file import PasswordFile, put_entry
from relaynode.cli.rights import give_to_node_user
from relaynode.config.loader import find, load
from relaynode.errors import EX_NOUSER, EX_OK, ConfigError, InputError, Problem, UsageError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from relaynode.config.loader import Config

MAX_PASSWORD_BYTES = 255
"""What PLAIN can carry (RFC 4616 section 2)."""


def run(arguments: argparse.Namespace) -> int:
    """Do it. Raises: ConfigError, UsageError, InputError, TableError."""
    config = load(find(arguments.config), with_secrets=False)
    path = _file(config)
    match arguments.verb:
        case "add":
            code = _add(path, _user(arguments.user), is_scram=arguments.scram)
            give_to_node_user(config, path)
            return code
        case "remove":
            return _remove(path, _user(arguments.user))
    for user, secret in sorted(PasswordFile(path).entries().items()):
        print(f"{user}  {' '.join(sorted(secret.mechanisms))}")
    return EX_OK


def _file(config: Config) -> Path:
    named = config.file.accounts.password_file
    if named is None:
        where = str(config.path or "(defaults)")
        remedy = 'write [accounts] password_file = "accounts"'
        raise ConfigError([Problem(where, None, "there is no file of passwords", remedy)])
    return config.absolute(named)


def _user(name: str) -> str:
    if not name or any(char in ":#" or char.isspace() or not char.isprintable() for char in name):
        raise UsageError(f'"{name}" cannot be the name of an account')
    return name.lower()


def _add(path: Path, user: str, *, is_scram: bool) -> int:
    password = _password()
    try:
        secret = scram_text(password) if is_scram else hash_password(password)
    except ValueError as error:
        raise InputError(str(error)) from error
    was_there = put_entry(path, user, secret)
    print(f"{user}: {'changed' if was_there else 'added'} in {path}")
    return EX_OK


def _remove(path: Path, user: str) -> int:
    if not put_entry(path, user, None):
        print(f"relaynode: {user} is not in {path}", file=sys.stderr)
        return EX_NOUSER
    print(f"{user}: removed from {path}")
    return EX_OK


def _password() -> str:
    """Raises: InputError."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            raise InputError("the two are not the same")
    else:
        data = sys.stdin.buffer.readline(MAX_PASSWORD_BYTES + 2)
        password = data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not password or "\0" in password or not password.isprintable():
        raise InputError("the password is empty, or has letters that cannot be typed")
    if len(password.encode("utf-8", "surrogateescape")) > MAX_PASSWORD_BYTES:
        raise InputError(f"the password is longer than {MAX_PASSWORD_BYTES} bytes")
    return password
