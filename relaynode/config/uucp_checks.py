"""What of [uucp], [neighbour.NAME] and [modem.NAME] must belong together."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong
from relaynode.uucp.chat import ChatError, check, unescape
from relaynode.uucp.line import Settings
from relaynode.uucp.protocols import make_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from relaynode.config.schema import File, ModemSection, NeighbourSection, UucpSection
    from relaynode.config.uucp_values import ChatText

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}")


def check_uucp(
    file: File, absolute: Callable[[Path], Path], modems: Collection[str]
) -> Iterator[Wrong]:
    """All that does not fit. `modems`: the names of [modem], also of those with a mistake."""
    yield from _certificate(("uucp",), file.uucp, absolute)
    yield from _tls_listeners(file)
    yield from _names(file)
    yield from _logins(file)
    for name, modem in file.modem.items():
        if not NAME.fullmatch(name):
            yield Wrong(("modem", name), f'"{name}" is no name of a modem', "letters, digits, - _")
        yield from _modem(("modem", name), modem)
        if modem.dialcodes is not None and not os.access(absolute(modem.dialcodes), os.R_OK):
            yield Wrong(("modem", name, "dialcodes"), f"{modem.dialcodes} cannot be read")
    for name, section in file.neighbour.items():
        where = ("neighbour", name)
        yield from _neighbour(where, section, modems)
        yield from _certificate(where, section, absolute)
        if section.ca_file is not None and not os.access(absolute(section.ca_file), os.R_OK):
            yield Wrong((*where, "ca_file"), f"{section.ca_file} cannot be read")


def _neighbour(
    where: tuple[str, ...], section: NeighbourSection, modems: Collection[str]
) -> Iterator[Wrong]:
    for call in section.call:
        if call.modem and call.modem not in modems:
            known = ", ".join(modems) or "none is defined"
            text = f'there is no modem "{call.modem}" (modems: {known})'
            yield Wrong((*where, "call"), text, f"add [modem.{call.modem}]")
    if section.password_file is not None and section.login is None:
        yield Wrong(where, f"[{'.'.join(where)}] has a password and no login", "add login")
    if section.called_password_file is not None and section.called_login is None:
        text = f"[{'.'.join(where)}] has a called_password_file and no called_login"
        yield Wrong(where, text, "add called_login")
    yield from _chat((*where, "chat"), section.chat, section.chat_fail, "LPZ")
    yield from _parameters(where, section)
    if section.chat is not None:
        written = " ".join(section.chat.words)
        for escape, key in ((r"\L", "login"), (r"\P", "password_file")):
            if escape in written and getattr(section, key) is None:
                text = f"the chat script sends {escape}, and there is no {key}"
                yield Wrong((*where, "chat"), text, f"add {key}")
    for key in ("local_send", "remote_send", "local_receive", "remote_receive"):
        for folder in getattr(section, key):
            if not folder.removeprefix("!").startswith(("/", "~")):
                text = f'{key}: "{folder}" begins neither with / nor with ~'
                yield Wrong((*where, key), text, 'write for example ["~", "!~/private"]')
    if "ALL" in section.commands:
        text = "commands: each command is named by itself, there is no ALL"
        yield Wrong((*where, "commands"), text, 'write ["rmail", "rnews"]')


def _modem(where: tuple[str, ...], modem: ModemSection) -> Iterator[Wrong]:
    yield from _chat((*where, "chat"), modem.chat, modem.chat_fail, "DTYS")
    yield from _chat((*where, "complete"), modem.complete, (), "")
    yield from _chat((*where, "abort"), modem.abort, (), "")


def _chat(
    path: tuple[str, ...], chat: ChatText | None, fails: Collection[str], letters: str
) -> Iterator[Wrong]:
    if chat is None:
        return
    try:
        check(chat.words, letters)
        for text in fails:
            unescape(text)
    except ChatError as error:
        yield Wrong(path, f"chat script: {error}", "a backslash is written twice, or in '...'")


def _parameters(where: tuple[str, ...], section: NeighbourSection) -> Iterator[Wrong]:
    """Each is tried by itself: the protocol knows what it takes."""
    for one in section.parameters:
        try:
            make_line(one.letter, Settings(is_caller=True, parameters={one.name: one.value}))
        except ValueError as error:
            yield Wrong((*where, "parameters"), f"{one}: {error}")


def _certificate(
    where: tuple[str, ...],
    section: UucpSection | NeighbourSection,
    absolute: Callable[[Path], Path],
) -> Iterator[Wrong]:
    """A certificate and its key come together, and the key is nobody else's."""
    if (section.certificate is None) != (section.key is None):
        missing = "key" if section.key is None else "certificate"
        yield Wrong(where, f"[{'.'.join(where)}] has no {missing}", f"add {missing}")
    if section.certificate is not None and not os.access(absolute(section.certificate), os.R_OK):
        yield Wrong((*where, "certificate"), f"{section.certificate} cannot be read")
    if section.key is None:
        return
    key = absolute(section.key)
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError as error:
        yield Wrong((*where, "key"), f"{section.key}: {error.strerror}")
        return
    if mode & 0o077:
        text = f"{key} can be read by others (mode {mode:04o})"
        yield Wrong((*where, "key"), text, f"say: chmod 600 {key}")


def _tls_listeners(file: File) -> Iterator[Wrong]:
    for name, listen in file.listen.items():
        if listen.uucp_tls and file.uucp.certificate is None:
            text = "TLS needs a certificate of our own"
            yield Wrong(("listen", name, "uucp_tls"), text, "add certificate and key to [uucp]")


def _names(file: File) -> Iterator[Wrong]:
    """Each name and alias is one neighbour's."""
    taken: dict[str, str] = {}
    for name, section in file.neighbour.items():
        if not NAME.fullmatch(name):
            text = f'"{name}" is no name of a UUCP system'
            yield Wrong(("neighbour", name), text, "letters, digits, . _ + -")
        for one in (name, *section.aliases):
            other = taken.setdefault(one, name)
            if other != name:
                text = f"{one} is called so already: [neighbour.{other}]"
                yield Wrong(("neighbour", name), text)


def _logins(file: File) -> Iterator[Wrong]:
    """A login has one password: two neighbours that share it must name the same file."""
    known: dict[str, tuple[str, Path]] = {}
    for name, section in file.neighbour.items():
        if section.called_login is None or section.called_password_file is None:
            continue
        found = known.setdefault(section.called_login, (name, section.called_password_file))
        if found[1] != section.called_password_file:
            text = f"[neighbour.{found[0]}] has another password for {section.called_login}"
            yield Wrong(("neighbour", name, "called_password_file"), text, "use another login")
