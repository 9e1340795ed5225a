"""`relaynode import sendmail FILE.mc`: somebody else's configuration as a relaynode.toml.

The TOML goes to standard output, what is to be known about it to standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.config.imported import NoteKind
from relaynode.config.sendmail_mc import import_mc
from relaynode.errors import EX_OK, InputError

if TYPE_CHECKING:
    import argparse

    from relaynode.config.imported import Imported


def run(arguments: argparse.Namespace) -> int:
    """Raises: InputError."""
    name = str(arguments.file)
    imported = import_mc(_text(arguments.file), name, in_order=arguments.in_order)
    sys.stdout.write(imported.toml)
    for kind in (NoteKind.NOT_UNDERSTOOD, NoteKind.DIFFERS, NoteKind.HARMLESS):
        _tell(imported, kind)
    return EX_OK


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
