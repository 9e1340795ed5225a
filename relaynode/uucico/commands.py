"""Whether a command may be run for a neighbour, and which file that is.

A command is one of the neighbour's list, letter by letter. It is looked up in its command path, and
started without a shell; so quotes, `;` and `$( )` are bytes of an argument like any other. Here its
arguments are judged: an option where an address is due, and paths out of the neighbour's folders,
are refused.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.uucico.folders import is_allowed
from relaynode.uucp.commands import printable, to_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from relaynode.neighbours import Terms

ALL = "ALL"
"""In the list: every command of the command path, but those that pass work on."""

MAIL_COMMANDS = frozenset("rmail rsmtp bsmtp rcsmtp cbsmtp rgsmtp rfsmtp rbsmtp rzsmtp".split())
"""Whose arguments are addresses."""

FORWARDERS = frozenset({"uucp", "uux"})
"""Who asks for these asks for anything of anybody, in our name."""

MAX_ARGUMENTS = 1000

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Where in an argument a path may begin: at its start, behind an option's letter, behind = : or ,
_ABSOLUTE = re.compile(r"(?:^|^-\w|[=:,])(/.*)")
_HOME = re.compile(r"(?:^|^-\w|[=:,])~")


class NotPermitted(Exception):
    """A command that must not be run. str(): why, safe to log and to mail."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run: the program, and all its arguments, the first being its name."""

    program: Path
    arguments: tuple[bytes, ...]


def check(command: Sequence[str], terms: Terms) -> None:
    """Raises: NotPermitted."""
    if not command:
        raise NotPermitted("no command")
    name, *arguments = command
    shown = printable(name[:60])
    if not _is_listed(name, terms):
        raise NotPermitted(f"not permitted to execute {shown}")
    if len(arguments) > MAX_ARGUMENTS or any(map(_CONTROL.search, arguments)):
        raise NotPermitted(f"{shown}: arguments that no command can have")
    base_name = name.rpartition("/")[2]
    if base_name in MAIL_COMMANDS:
        _check_addresses(shown, arguments)
    else:
        _check_paths(shown, arguments, terms)
    if base_name in FORWARDERS:
        _check_forwarding(shown, arguments, terms)


def is_permitted(command: Sequence[str], terms: Terms) -> bool:
    """The same as a question."""
    try:
        check(command, terms)
    except NotPermitted:
        return False
    return True


def _is_listed(name: str, terms: Terms) -> bool:
    if name in terms.commands:
        return name != ALL
    if "/" in name or name in ("", ".", ".."):
        return False
    return is_own_program(name, terms) or (ALL in terms.commands and name not in FORWARDERS)


def is_own_program(name: str, terms: Terms) -> bool:
    """Was a program named for this command by its path? Then it is run, and not what we have built
    in under that name."""
    return any(
        entry.startswith("/") and entry.rpartition("/")[2] == name for entry in terms.commands
    )


def _check_addresses(shown: str, arguments: Sequence[str]) -> None:
    for argument in arguments:
        if argument.startswith(("-", "/", "|", ":")):
            raise NotPermitted(f"{shown}: {printable(argument[:60])} is no address")


def _check_paths(shown: str, arguments: Sequence[str], terms: Terms) -> None:
    for argument in arguments:
        refused = ".." in re.split(r"[/=:,]", argument) or (
            _HOME.search(argument) is not None and not argument.startswith("~/")
        )
        absolute = _ABSOLUTE.search(argument)
        if absolute is not None:
            path = Path(absolute[1])
            folders = (*terms.remote_send, *terms.remote_receive)
            refused = refused or not is_allowed(path, folders, terms.public)
        if refused:
            raise NotPermitted(f"{shown}: {printable(argument[:60])} is out of bounds")


def _check_forwarding(shown: str, arguments: Sequence[str], terms: Terms) -> None:
    """Only to systems that were named; and with no option that changes who we are (uux -u, -I)."""
    allowed = set(terms.forward_to)
    for argument in arguments:
        system, bang, _ = argument.partition("!")
        if argument.startswith("-") and not re.fullmatch(r"-[cCdfjmnprz]*|-g[0-9A-Za-z]", argument):
            raise NotPermitted(f"{shown}: option {printable(argument[:60])}")
        if bang and not allowed & {system.lstrip("("), "ANY"}:
            raise NotPermitted(f"{shown}: nothing is forwarded to {printable(system[:60])}")
    if not allowed:
        raise NotPermitted(f"{shown}: nothing is forwarded")


def find(command: Sequence[str], terms: Terms) -> Command:
    """The program of a command that is permitted. Raises: NotPermitted if there is none."""
    name, *arguments = command
    for candidate in _candidates(name, terms):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            words = (name.rpartition("/")[2], *(_expanded(one, terms) for one in arguments))
            return Command(candidate, tuple(map(to_bytes, words)))
    raise NotPermitted(f"{printable(name[:60])}: no such command")


def _candidates(name: str, terms: Terms) -> Collection[Path]:
    if name.startswith("/"):
        return [Path(name)]
    listed = [
        Path(entry)
        for entry in terms.commands
        if entry.startswith("/") and entry.rpartition("/")[2] == name
    ]
    return listed or [Path(folder) / name for folder in terms.command_path]


def _expanded(argument: str, terms: Terms) -> str:
    """`~/x` is in the public folder, as with Taylor."""
    return f"{terms.public}/{argument[2:]}" if argument.startswith("~/") else argument
