"""Kind `forward`: what `sendmail -bv` prints for a user with a .forward file."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import Any

from oracle.answers.verify import (
    OURSELVES,
    RECORDED_LISTS,
    as_read,
    expected,
    install_lists,
    printed,
)
from oracle.site import USERS
from relaynode.mailers.locals import SystemLocals
from relaynode.mailers.users import User
from relaynode.tables.aliases import parse_aliases

__all__ = ["answer", "expected"]

_ALIASES = "postmaster: root\nstaff: alice, bob\n"
"""What was in force where a case names no other text."""

_DEFAULT_MODE = "0644"


def answer(site: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Exit code and lines. Files belong to whoever runs this, so it is the user that differs where
    a file belongs to somebody else."""
    homes = _fresh_homes(site)
    lists = str(install_lists(site))
    for user, text in case["forward"].items():
        _write(homes / user, as_read(text.replace(RECORDED_LISTS, lists)), case)
    expander = site.rules.expander
    owner = case.get("owner")
    users = _Users(site.users, {user for user in case["forward"] if owner not in (user, "root")})
    patterns = site.config.file.local.forward
    text = site.recorded.get("files", {}).get("aliases", _ALIASES)
    aliases, _ = parse_aliases(text, str(site.tables / "aliases"))
    expander = replace(
        expander, locals=SystemLocals(users, site.hostname, patterns, OURSELVES), aliases=aliases
    )
    found = printed(site, expander, case["input"])
    _fresh_homes(site)  # other cases have no .forward
    return found


def _fresh_homes(site: Any) -> Any:
    shutil.rmtree(site.homes)
    for user in USERS:
        (site.homes / user).mkdir(parents=True, mode=0o755)
    return site.homes


def _write(home: Any, text: str, case: dict[str, Any]) -> None:
    file = home / ".forward"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    file.chmod(int(case.get("mode") or _DEFAULT_MODE, 8))
    home.chmod(int(case.get("home_mode") or "0755", 8))


class _Users:
    """The site's users; some of them are told to have another number than who runs this."""

    def __init__(self, users: Any, others: set[str]) -> None:
        self._users = users
        self._others = others

    def find(self, name: str) -> User | None:
        user = self._users.find(name)
        if user is None or user.name not in self._others:
            return user
        return replace(user, uid=os.getuid() + 1, gid=os.getgid() + 1)

    def exists(self, name: str) -> bool:
        return self.find(name) is not None
