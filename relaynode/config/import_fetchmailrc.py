"""`relaynode import fetchmailrc`: a .fetchmailrc as [account.NAME] and [etrn.NAME]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.fetchmailrc_accounts import needs_password
from relaynode.config.fetchmailrc_file import port_of, read_setup, surroundings
from relaynode.config.from_fetchmail import accounts_of
from relaynode.config.imported import Gathering, Imported

if TYPE_CHECKING:
    from pathlib import Path

    from relaynode.config.fetchmail_setup import Setup
    from relaynode.config.from_fetchmail import FoundAccount

_NOT_HERE = {
    "spambounce": "what a host takes for spam is bounced or kept like other refused mail",
    "invisible": "our Received line is always there: loops are found by it",
    "properties": "nothing reads it",
}


def import_fetchmailrc(
    file: str, passwords: Path | None = None
) -> tuple[Imported, dict[Path, str]]:
    """The settings, and what the password files that they name have to hold.

    `passwords`: the folder of those files. Raises: FetchmailrcError.
    """
    setup = read_setup(file)
    gathering = Gathering(file)
    secrets: dict[Path, str] = {}
    for warning in setup.warnings:
        gathering.differs(None, warning)
    _globals(setup, gathering)
    for server in setup.servers:
        for account in accounts_of(setup, port_of, servers=[server]):
            _account(account, gathering, secrets, passwords, is_active=server.active)
    return gathering.finish(f"made from {file} by relaynode import fetchmailrc"), secrets


def _globals(setup: Setup, gathering: Gathering) -> None:
    settings = setup.globals
    if settings.postmaster not in (surroundings().login, "postmaster"):
        gathering.set("node", "postmaster", settings.postmaster)
    if settings.poll_interval:
        text = f"set daemon {settings.poll_interval}: nothing polls by the clock alone"
        gathering.differs(None, text, "let cron run relaynode fetch, or fetchmail -d")
    for name, text in _NOT_HERE.items():
        if getattr(settings, name):
            gathering.differs(None, f"set {name}: {text}")


def _account(
    account: FoundAccount,
    gathering: Gathering,
    secrets: dict[Path, str],
    folder: Path | None,
    *,
    is_active: bool,
) -> None:
    name = _unused(account.name, gathering)
    if not account.is_usable or not is_active:
        why = "; ".join(account.remarks) if not account.is_usable else "it is skipped there"
        gathering.differs(account.line, f"{name} is left out: {why}")
        return
    section = (account.table, name)
    for key, value in account.keys.items():
        gathering.set(section, key, value)
    if needs_password(account) and folder is not None:
        file = folder / name.replace("/", "_")
        gathering.set(section, "password_file", str(file))
        if account.password is not None:
            secrets[file] = account.password
    elif needs_password(account):
        gathering.set(section, "password_file", f"passwords/{name.replace('/', '_')}")
        gathering.differs(
            account.line,
            f"{name}: its password is not in the TOML",
            "write it into its password_file, or use --passwords DIR",
        )
    for remark in account.remarks:
        gathering.comment(section, remark)
        gathering.differs(account.line, f"{name}: {remark}")


def _unused(name: str, gathering: Gathering) -> str:
    number, unique = 2, name
    while ("account", unique) in gathering.settings or ("etrn", unique) in gathering.settings:
        unique = f"{name}#{number}"
        number += 1
    return unique
