"""What of [listen.NAME] and [accounts] must belong together: certificates, logins, addresses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relaynode.config.uucp_checks import Wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relaynode.config.schema import AccountsSection, File, ListenSection
    from relaynode.config.values import ListenAddress

_TLS_FIRST = ("submissions", "pop3s")
"""Keys whose clients speak TLS before anything else."""


def check_doors(file: File, absolute: Callable[[Path], Path]) -> Iterator[Wrong]:
    """All that does not fit."""
    for name, listen in file.listen.items():
        yield from _certificate(("listen", name), listen, absolute)
        yield from _logins(("listen", name), listen, file)
    yield from _accounts(file.accounts, absolute)


def _certificate(
    where: tuple[str, ...], listen: ListenSection, absolute: Callable[[Path], Path]
) -> Iterator[Wrong]:
    shown = f"[{'.'.join(where)}]"
    for key in ("certificate", "key"):
        path = getattr(listen, key)
        if path is not None and not os.access(absolute(path), os.R_OK):
            is_there = os.access(absolute(path), os.F_OK)
            remedy = (
                "who runs the node must be able to" if is_there else "`relaynode cert` makes one"
            )
            yield Wrong((*where, key), f"{path} cannot be read", remedy)
    if (listen.certificate is None) != (listen.key is None):
        missing = "key" if listen.key is None else "certificate"
        yield Wrong(where, f"{shown} has no {missing}", f"add {missing}")
    for key in _TLS_FIRST:
        if getattr(listen, key) and listen.certificate is None:
            text = f"{shown} has no certificate for {key}"
            yield Wrong((*where, key), text, "add certificate and key; `relaynode cert` makes them")


def _logins(where: tuple[str, ...], listen: ListenSection, file: File) -> Iterator[Wrong]:
    """People must be able to log in where a login is all that counts."""
    has_accounts = bool(file.user or file.accounts.password_file or file.accounts.dovecot_socket)
    for key in ("submission", "submissions"):
        addresses: list[ListenAddress] = getattr(listen, key)
        if addresses and not has_accounts:
            text = f"nobody can log in at {key} of [{'.'.join(where)}]: there are no accounts"
            yield Wrong((*where, key), text, "add [accounts] password_file or a [user.NAME]")
    is_safe = listen.certificate is not None or bool(listen.plain_text_logins)
    if not is_safe and any(not one.address.is_loopback for one in listen.submission):
        text = f"[{'.'.join(where)}] has no certificate: nobody could log in at submission"
        yield Wrong((*where, "submission"), text, "add certificate and key")


def _accounts(section: AccountsSection, absolute: Callable[[Path], Path]) -> Iterator[Wrong]:
    if section.password_file is not None and section.dovecot_socket is not None:
        text = "[accounts] has password_file and dovecot_socket"
        yield Wrong(("accounts", "dovecot_socket"), text, "one of them says who may log in")
    path = section.password_file
    if path is not None and not os.access(absolute(path).parent, os.R_OK | os.X_OK):
        yield Wrong(("accounts", "password_file"), f"the folder of {path} cannot be read")
