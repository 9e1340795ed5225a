"""What of [account.NAME] must belong together, by its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.folder_checks import check_folders
from relaynode.config.link_checks import DEFAULT_LINK
from relaynode.config.recipient_checks import check_recipients
from relaynode.config.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from relaynode.config.schema import AccountSection, File

_MAILBOX_KEYS = (
    "keep",
    "fetch_all",
    "flush",
    "limit_bytes",
    "flush_oversized",
    "fetch_limit",
    "expunge",
    "delete_after_days",
    "header_first_bytes",
)
"""Keys for messages that lie in a mailbox."""


def check_account(name: str, account: AccountSection, written: Collection[str]) -> Iterator[Wrong]:
    """All that does not fit. `written`: its keys. ODMR brings each message with its own recipients,
    POP3 without any."""
    place = ("account", name)
    yield from check_recipients(place, account, written)
    yield from check_folders(place, account)
    if account.protocol == "odmr":
        for key in ("deliver_to", *_MAILBOX_KEYS):
            if getattr(account, key):
                text = f'{key} means nothing for protocol = "odmr"'
                yield Wrong((*place, key), text, "take it away")
        return
    for key in ("flush", "delete_after_days"):
        if getattr(account, key) and not account.keep:
            text = f"{key} means nothing without keep = true: all that was fetched is deleted"
            yield Wrong((*place, key), text, "take it away, or write keep = true")
    if account.idle and account.protocol != "imap":
        text = f'idle means nothing for protocol = "{account.protocol}"'
        yield Wrong((*place, "idle"), text, "take it away")
    if account.flush_oversized and not account.limit_bytes:
        text = "flush_oversized means nothing without limit_bytes"
        yield Wrong((*place, "flush_oversized"), text, "take it away, or write limit_bytes")
    if account.domains:
        text = f'domains means nothing for protocol = "{account.protocol}"'
        yield Wrong((*place, "domains"), text, "take it away")


def check_idle(file: File) -> Iterator[Wrong]:
    """IDLE wants a line that is always there."""
    for name, account in file.account.items():
        link = file.link.get(account.link or DEFAULT_LINK)
        if account.idle and link is not None and link.kind != "always":
            text = 'idle is for accounts whose link has kind = "always"'
            yield Wrong(("account", name, "idle"), text, "write poll_minutes instead")
