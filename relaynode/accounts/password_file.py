"""The file of passwords: one account a line, as Dovecot's passwd-file begins.

    # a remark
    alice:$scrypt$ln=15,r=8,p=1$...
    bob:{SCRAM-SHA-256}4096,...
    carol@example.net:{PLAIN}secret:what stands behind a second colon is ignored

Names are compared without regard to case. A line that makes no sense costs nobody but its user the
login; all of them are told when the file is read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from relaynode.accounts.hashes import parse_secret
from relaynode.config.replacing import replace_file
from relaynode.errors import Problem, TableError
from relaynode.tables.loader import TableFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relaynode.accounts.hashes import Secret

log = logging.getLogger("relaynode")


def parse_passwords(text: str, name: str) -> tuple[dict[str, Secret], list[Problem]]:
    """The accounts by name in lower case, and what is wrong in file `name`."""
    found: dict[str, Secret] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, rest = line.partition(":")
        user = user.strip().lower()
        if not colon or not user:
            problems.append(Problem(name, number, "no account", "write user:hash"))
        elif user in found:
            problems.append(Problem(name, number, f"{user} is there twice: the first counts"))
        else:
            try:
                found[user] = parse_secret(rest.partition(":")[0].strip())
            except ValueError as error:
                problems.append(Problem(name, number, f"{user}: {error}"))
    return found, problems


class PasswordFile:
    """The file, read again when it has changed; one that others can read is not used."""

    def __init__(self, path: Path) -> None:
        self._file = TableFile[dict[str, "Secret"]](
            path, parse_passwords, is_required=True, holds_secrets=bool
        )
        self._path = path
        self._told: object = None

    def check(self) -> list[Problem]:
        """All that is wrong with the file now."""
        try:
            self._file.get()
        except TableError as error:
            text = str(error).removeprefix(f"{self._path}: ")
            return [Problem(str(self._path), None, text, "`relaynode account add` makes it")]
        return self._file.problems

    def entries(self) -> Mapping[str, Secret]:
        """The accounts as the file says now. Raises: TableError."""
        table = self._file.get()
        if table is not self._told:
            self._told = table
            for problem in self._file.problems:
                log.error("%s", problem)
        return table


def put_entry(path: Path, user: str, secret: str | None) -> bool:
    """Give a user this secret in the file, or take him out of it (None); was he there before?

    The file is replaced as a whole, keeping its other lines, owner and mode. Raises: TableError.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        others = [line for line in lines if _user_of(line) != user.lower()]
        added = [] if secret is None else [f"{user.lower()}:{secret}"]
        text = "".join(f"{line}\n" for line in [*others, *added])
        replace_file(path, text.encode(), keeps_owner=True)
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return len(others) < len(lines)


def _user_of(line: str) -> str:
    return "" if line.startswith("#") else line.partition(":")[0].strip().lower()
