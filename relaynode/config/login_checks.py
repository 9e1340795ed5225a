"""What of the login and TLS of all that we call, and of an [oauth.NAME], must belong together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from relaynode.config.schema import File, OauthSection, RemoteSection

SECRETS = ("password_file", "password_command", "password_credential", "password_keyring", "oauth")
"""Keys that say where the secret comes from: one of them, or none."""

_FOR_URL = ("client_id", "refresh_token_file")


def remotes(file: File) -> tuple[tuple[str, Mapping[str, RemoteSection]], ...]:
    """The tables of servers that we call and may log in at, with their names."""
    return (("smart_host", file.smart_host), ("account", file.account), ("etrn", file.etrn))


def check_logins(
    file: File,
    absolute: Callable[[Path], Path],
    written: Callable[[tuple[str, ...]], Collection[str]],
) -> Iterator[Wrong]:
    """All that does not fit. `written`: the keys below a table of the file, also those with a
    mistake, which has been told."""
    oauths = written(("oauth",))
    for table, sections in remotes(file):
        for name, section in sections.items():
            where = (table, name)
            yield from _login(where, section, written(where), oauths)
            yield from _tls(where, section, absolute)
    for name, oauth in file.oauth.items():
        where = ("oauth", name)
        yield from _oauth(where, oauth, written(where), absolute)


def _login(
    where: tuple[str, ...],
    section: RemoteSection,
    written: Collection[str],
    oauths: Collection[str],
) -> Iterator[Wrong]:
    shown = f"[{'.'.join(where)}]"
    given = [key for key in SECRETS if key in written]
    needs_none = section.certificate is not None or "GSSAPI" in section.auth
    if len(given) > 1:
        text = f"{shown} has {' and '.join(given)}"
        yield Wrong((*where, given[1]), text, "one of them says where the secret is")
    if section.user is None and (given or where[0] == "account"):
        yield Wrong(where, f"{shown} has no user", "add user")
    if section.user is not None and not given and not needs_none:
        yield Wrong(where, f"{shown} has no password_file", "add password_file")
    if section.oauth is None:
        return
    if section.oauth not in oauths:
        text = f'there is no oauth "{section.oauth}" ({", ".join(oauths) or "none is defined"})'
        yield Wrong((*where, "oauth"), text, f"add [oauth.{section.oauth}]")
    if section.tls == "none":
        text = f"{shown} would show its token to everybody"
        yield Wrong((*where, "tls"), text, 'write tls = "starttls" or "tls"')


def _tls(
    where: tuple[str, ...], section: RemoteSection, absolute: Callable[[Path], Path]
) -> Iterator[Wrong]:
    for key in ("ca_file", "certificate", "key"):
        path = getattr(section, key)
        if path is not None and not os.access(absolute(path), os.R_OK):
            yield Wrong((*where, key), f"{path} cannot be read")
    if (section.certificate is None) != (section.key is None):
        missing = "key" if section.key is None else "certificate"
        yield Wrong(where, f"[{'.'.join(where)}] has no {missing}", f"add {missing}")


def _oauth(
    where: tuple[str, ...],
    section: OauthSection,
    written: Collection[str],
    absolute: Callable[[Path], Path],
) -> Iterator[Wrong]:
    shown = f"[{'.'.join(where)}]"
    if ("token_command" in written) == ("token_url" in written):
        text = f"{shown} needs token_command or token_url, one of them"
        yield Wrong(where, text, "see conf/relaynode.toml")
    if section.device_url is not None and section.token_url is None:
        yield Wrong((*where, "device_url"), f"{shown} has device_url and no token_url")
    if section.token_url is not None:
        for key in _FOR_URL:
            if key not in written:
                yield Wrong(where, f"{shown} has no {key}", f"add {key}")
    if section.ca_file is not None and not os.access(absolute(section.ca_file), os.R_OK):
        yield Wrong((*where, "ca_file"), f"{section.ca_file} cannot be read")
