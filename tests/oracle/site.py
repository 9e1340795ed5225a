"""A site of the recordings, rebuilt: its .mc and its tables, as this program reads them.

The .mc goes through the importer that users have, its TOML through the loader, and the tables lie
in a folder as they lay in /etc/mail. So a case that agrees shows the whole way to agree.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from relaynode.config.loader import Config, load
from relaynode.config.sendmail_mc import import_mc
from relaynode.mailers.users import User, Users
from relaynode.rules import Rules

HERE = Path(__file__).parent

USERS = "root alice bob carol dave joe user eric paul localuser".split()
"""Who had an account there, beside those that every system has."""

SYSTEM_USERS = "daemon bin sys sync games man lp mail news uucp proxy www-data nobody".split()

OWN_ADDRESS = "[192.0.2.1]"
"""The address of the machine that was recorded."""

_TABLES = ("mailertable", "virtusertable", "genericstable", "access_db")


class KnownUsers(Users):
    """The accounts of the recorded machine, with homes below a folder."""

    def __init__(self, config: Config, homes: Path) -> None:
        super().__init__(config.mailbox, frozenset())
        self.homes = homes

    def find(self, name: str) -> User | None:
        name = name.lower()
        if name in USERS:
            return User(name, self.homes / name, os.getuid(), os.getgid())
        return User(name, Path("/nonexistent"), 1, 1) if name in SYSTEM_USERS else None


class Site:
    """One configuration of a cases file, installed below `folder`."""

    def __init__(self, name: str, recorded: dict[str, Any], folder: Path) -> None:
        self.name = name
        self.recorded = recorded
        self.hostname: str = recorded["hostname"]
        self.mc: str = recorded["mc"]
        self.tables = folder / "mail"
        self.homes = folder / "home"
        self.tables.mkdir(parents=True)
        for user in USERS:
            (self.homes / user).mkdir(parents=True)
        self.imported = import_mc(self.mc, f"{name}.mc", in_order=True)
        self._install(recorded.get("files") or {})
        self.config = load(self._write_config(folder))
        self.users = KnownUsers(self.config, self.homes)
        self.rules = Rules(self.config, self.users)

    def _install(self, files: dict[str, str]) -> None:
        """The table files that the .mc asks for; sendmail reads no others."""
        for name, text in files.items():
            feature = {"access": "access_db", "local-host-names": "use_cw_file"}.get(name, name)
            optional = (*_TABLES, "use_cw_file")
            if feature not in optional or re.search(rf"FEATURE\(`?{feature}\b", self.mc):
                (self.tables / name).write_text(text, encoding="utf-8", newline="")

    def _write_config(self, folder: Path) -> Path:
        settings = json.loads(
            json.dumps(self.imported.settings).replace("/etc/mail/", f"{self.tables}/")
        )
        node = settings.setdefault("node", {})
        node.setdefault("hostname", self.hostname)
        node.update(spool=str(folder / "spool"), tables=str(self.tables))
        node["local_domains"] = [*node.get("local_domains", ()), OWN_ADDRESS]
        local = settings.setdefault("local", {})
        if "aliases" in local:
            local["aliases"] = str(self.tables / "aliases")
        path = folder / "relaynode.toml"
        path.write_text("\n".join(_toml(settings)) + "\n", encoding="utf-8")
        return path


def _toml(table: dict[str, Any], name: str = "") -> list[str]:
    lines = [f"[{name}]"] if name else []
    lines += [f"{k} = {json.dumps(v)}" for k, v in table.items() if not isinstance(v, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += _toml(value, f"{name}.{key}" if name else key)
    return lines
