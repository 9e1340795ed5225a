"""What of [account.NAME] must fit together about whose the mail is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong
from relaynode.errors import AddressError
from relaynode.mail.address import parse_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from relaynode.config.schema import AccountSection

MULTIDROP = ("names", "others_as_they_are", "local_domains")
"""Any of them makes an account a mailbox for many."""

_NOT_FOR_ODMR = (
    *("envelope_header", "envelope_skip", "user_prefix", "aka", "use_addressees", *MULTIDROP),
    *("fix_addresses", "drop_status", "drop_delivered"),
    *("drop_off", "mda", "smtp_address", "smtp_name"),
)


def is_multidrop(account: AccountSection) -> bool:
    """Is it a mailbox for many?"""
    return any(getattr(account, key) for key in MULTIDROP)


def check_recipients(
    where: tuple[str, ...], account: AccountSection, written: Collection[str]
) -> Iterator[Wrong]:
    """What does not fit about whose an account's mail is. `written`: the keys of its table."""
    shown = f"[{'.'.join(where)}]"
    if account.protocol == "odmr":
        for key in _NOT_FOR_ODMR:
            if key in written:
                text = f'{key} means nothing for protocol = "odmr"'
                yield Wrong((*where, key), text, "take it away")
        return
    many = [key for key in MULTIDROP if getattr(account, key)]
    if many and account.deliver_to is not None:
        text = f"{shown} has deliver_to and {many[0]}"
        yield Wrong((*where, "deliver_to"), text, "all mail is for one, or each says whose it is")
    if not any(key in written for key in MULTIDROP) and "deliver_to" not in written:
        yield Wrong(where, f"{shown} lacks deliver_to", "or names, where the mailbox is of many")
    if account.drop_off and account.mda is not None:
        yield Wrong((*where, "mda"), f"{shown} has drop_off and mda", "one of them gets the mail")
    for name, whom in account.names.items():
        yield from _address((*where, "names", name), whom)
    for key in ("deliver_to", "smtp_name"):
        if getattr(account, key) is not None:
            yield from _address((*where, key), getattr(account, key))


def _address(path: tuple[str, ...], address: str) -> Iterator[Wrong]:
    try:
        if not parse_path(address):
            raise AddressError("the null path is nobody")
    except AddressError as error:
        yield Wrong(path, f'"{address}" is no address: {error}')
