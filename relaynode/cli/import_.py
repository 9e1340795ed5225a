"""`relaynode import sendmail FILE.mc`, `relaynode import fetchmailrc [FILE]`: somebody else's
configuration as a relaynode.toml.

The TOML goes to standard output, what is to be known about it to standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.config.fetchmailrc_file import STANDARD_INPUT, usual_file
from relaynode.config.import_fetchmailrc import import_fetchmailrc
from relaynode.config.imported import NoteKind
from relaynode.config.sendmail_mc import import_mc
from relaynode.errors import EX_OK, InputError

if TYPE_CHECKING:
    import argparse

    from relaynode.config.imported import Imported


def run(arguments: argparse.Namespace) -> int:
    """Raises: InputError."""
    imported = _fetchmailrc(arguments) if arguments.format == "fetchmailrc" else _mc(arguments)
    sys.stdout.write(imported.toml)
    for kind in (NoteKind.NOT_UNDERSTOOD, NoteKind.DIFFERS, NoteKind.HARMLESS):
        _tell(imported, kind)
    return EX_OK


def _mc(arguments: argparse.Namespace) -> Imported:
    name = str(arguments.file)
    return import_mc(_text(arguments.file), name, in_order=arguments.in_order)


def _fetchmailrc(arguments: argparse.Namespace) -> Imported:
    """Passwords go into files of their own, if a folder for them was named."""
    folder = arguments.passwords
    file = str(arguments.file or usual_file())
    if file != STANDARD_INPUT and not Path(file).exists():
        raise InputError(f"{file}: there is no such file")
    imported, secrets = import_fetchmailrc(file, folder.absolute() if folder else None)
    for path, secret in secrets.items():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "x", opener=_private, encoding="utf-8") as opened:
                opened.write(f"{secret}\n")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
    return imported


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _text(path: Path) -> str:
    try:
        content = sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # as files of that age are


def _tell(imported: Imported, kind: NoteKind) -> None:
    notes = [note for note in imported.notes if note.kind is kind]
    if notes:
        print(f"{kind.value}:", file=sys.stderr)
    for note in notes:
        print(f"  {note}", file=sys.stderr)
