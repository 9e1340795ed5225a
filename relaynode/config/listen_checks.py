"""What of [listen.NAME] and [accounts] must belong together: certificates, logins, addresses."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relaynode.config.schema import AccountsSection, File, ListenSection
    from relaynode.config.values import ListenAddress, Mailbox

_KEEPERS = ("password_file", "dovecot_socket", "pam_service")
"""Keys of [accounts] that say who may log in."""

_TLS_FIRST = ("submissions", "pop3s")
"""Keys whose clients speak TLS before anything else."""


def check_doors(file: File, absolute: Callable[[Path], Path], mailbox: Mailbox) -> Iterator[Wrong]:
    """All that does not fit. `mailbox`: where mail is delivered."""
    for name, listen in file.listen.items():
        yield from _reach(("listen", name), listen)
        yield from _maildirs(("listen", name), listen, mailbox)
        yield from _certificate(("listen", name), listen, absolute)
        yield from _logins(("listen", name), listen, file)
    yield from _accounts(file.accounts, absolute)
    yield from _odmr(file)


def _reach(where: tuple[str, ...], listen: ListenSection) -> Iterator[Wrong]:
    """We serve this machine and the networks that are named, nobody else."""
    for key in ("smtp", "pop3"):
        for place in getattr(listen, key):
            address, networks = place.address, listen.networks
            if address.is_loopback or any(address in network for network in networks):
                continue
            if not (address.is_unspecified and networks):
                text = f"{place} is neither loopback nor in one of the networks of"
                remedy = 'name the LAN it serves: networks = ["192.168.1.0/24"]'
                yield Wrong((*where, key), f"{text} [{'.'.join(where)}]", remedy)


def _maildirs(where: tuple[str, ...], listen: ListenSection, mailbox: Mailbox) -> Iterator[Wrong]:
    key = "pop3" if listen.pop3 else "pop3s"
    if getattr(listen, key) and not mailbox.is_maildir:
        text = "POP3 serves Maildirs, and mail is delivered into mbox files"
        remedy = 'end [local] mailbox with a slash: mailbox = "~/Maildir/"'
        yield Wrong((*where, key), text, remedy)


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
    known = file.accounts
    keys = (*_KEEPERS, "keytab")
    has_accounts = bool(file.user) or any(getattr(known, key) is not None for key in keys)
    for key in ("submission", "submissions", "odmr"):
        addresses: list[ListenAddress] = getattr(listen, key)
        if addresses and not has_accounts:
            text = f"nobody can log in at {key} of [{'.'.join(where)}]: there are no accounts"
            yield Wrong((*where, key), text, "add [accounts] password_file or a [user.NAME]")
    is_safe = listen.certificate is not None or bool(listen.plain_text_logins)
    for key in ("submission", "odmr"):
        addresses = getattr(listen, key)
        if not is_safe and any(not one.address.is_loopback for one in addresses):
            text = f"[{'.'.join(where)}] has no certificate: nobody could log in at {key}"
            yield Wrong((*where, key), text, "add certificate and key")
    if listen.odmr and not file.odmr:
        text = f"nobody has mail to fetch at odmr of [{'.'.join(where)}]"
        yield Wrong((*where, "odmr"), text, "add an [odmr.NAME] with user and domains")


def _odmr(file: File) -> Iterator[Wrong]:
    """Mail for our own people goes into their mailboxes, and waits for no site."""
    ours = {domain.lower() for domain in file.node.local_domains}
    for name, section in file.odmr.items():
        for domain in section.domains:
            if domain.lower() in ours:
                text = f'"{domain}" is one of [node] local_domains: its mail is delivered here'
                yield Wrong(("odmr", name, "domains"), text)


def _accounts(section: AccountsSection, absolute: Callable[[Path], Path]) -> Iterator[Wrong]:
    keys = [key for key in _KEEPERS if getattr(section, key) is not None]
    if len(keys) > 1:
        text = f"[accounts] has {' and '.join(keys)}"
        yield Wrong(("accounts", keys[-1]), text, "one of them says who may log in")
    if section.dovecot_socket is not None and section.keytab is not None:
        text = "[accounts] has dovecot_socket and keytab"
        yield Wrong(("accounts", "keytab"), text, "Dovecot has a setting of its own for it")
    if section.keytab is not None and find_spec("gssapi") is None:
        text = "keytab needs the package gssapi"
        yield Wrong(("accounts", "keytab"), text, "pip install 'relaynode[gssapi]'")
    if section.keytab is not None and not os.access(absolute(section.keytab), os.R_OK):
        yield Wrong(("accounts", "keytab"), f"{section.keytab} cannot be read")
    if section.pam_service is not None and find_spec("pamela") is None:
        text = "pam_service needs the package pamela"
        yield Wrong(("accounts", "pam_service"), text, "pip install 'relaynode[pam]'")
    path = section.password_file
    if path is not None and not os.access(absolute(path).parent, os.R_OK | os.X_OK):
        yield Wrong(("accounts", "password_file"), f"the folder of {path} cannot be read")
