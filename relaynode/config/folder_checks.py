"""What of [account.NAME] only an IMAP server can do, and what of that belongs together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.config.schema import AccountSection

_USUAL = ["INBOX"]


def check_folders(place: tuple[str, ...], account: AccountSection) -> Iterator[Wrong]:
    """What does not fit about the folders of an account."""
    if account.protocol != "imap":
        for key, is_written in (
            ("folders", account.folders != _USUAL),
            ("move_to", bool(account.move_to)),
        ):
            if is_written:
                text = f'{key} means nothing for protocol = "{account.protocol}"'
                yield Wrong((*place, key), text, "take it away")
        return
    names = [_plain(name) for name in account.folders]
    if not names:
        yield Wrong((*place, "folders"), "folders names none", 'write ["INBOX"]')
    if len(set(names)) != len(names):
        yield Wrong((*place, "folders"), "folders names one twice", "take one away")
    if account.move_to and _plain(account.move_to) in names:
        text = "move_to is one of the folders that are fetched"
        yield Wrong((*place, "move_to"), text, "name another one")
    if account.move_to and account.keep and not account.delete_after_days:
        text = "move_to means nothing with keep = true"
        yield Wrong((*place, "move_to"), text, "take one of them away")


def _plain(name: str) -> str:
    """RFC 3501 5.1: INBOX is the same in any case; all others are not."""
    return "INBOX" if name.upper() == "INBOX" else name
