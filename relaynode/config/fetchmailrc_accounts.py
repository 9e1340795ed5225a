"""The accounts of a .fetchmailrc that a relaynode.toml names ([fetch] fetchmailrc)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.fetchmailrc import FetchmailrcError
from relaynode.config.fetchmailrc_file import port_of, read_setup
from relaynode.config.from_fetchmail import FoundAccount, accounts_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("FetchmailrcError", "accounts_in", "needs_password")


def accounts_in(file: Path, hostname: str | None) -> list[FoundAccount]:
    """Those of all entries that are not to be skipped. Nobody can be asked for a password here.

    Raises: FetchmailrcError.
    """
    if not file.exists():
        raise FetchmailrcError(f"{file}: there is no such file")
    setup = read_setup(str(file), hostname=hostname)
    accounts = [
        account
        for account in accounts_of(setup, port_of, servers=setup.polled)
        if account.is_usable
    ]
    for account in accounts:
        if account.password is None and needs_password(account):
            raise FetchmailrcError(
                f"{file}: there is no password for {account.user} at {account.pollname}"
            )
    return accounts


def needs_password(account: FoundAccount) -> bool:
    """Does its login take a password?"""
    keys = account.keys
    has_other = "certificate" in keys or keys.get("auth") in (["GSSAPI"], ["EXTERNAL"])
    return account.table == "account" and not has_other
