"""A Maildir as a maildrop: which messages it holds, and their content in wire form."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.lines import ToCrlf
from relaynode.pop3.maildrop import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE_BYTES = 64 * 1024
MAX_UID = 70
"""RFC 1939 section 7."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. `uid` stays the same when a reader moves the file and adds flags."""

    path: Path
    uid: str
    size_bytes: int

    @property
    def entry(self) -> Entry:
        """What POP3 tells of it."""
        return Entry(self.size_bytes, self.uid)

    def pieces(self) -> Iterator[bytes]:
        """The content, CRLF line ends. Raises: OSError."""
        return _pieces(self.path)


def read_maildir(folder: Path) -> list[StoredMessage]:
    """The messages of a Maildir, oldest name first; none if it does not exist. Raises: OSError."""
    paths = []
    for part in ("new", "cur"):
        if (folder / part).is_dir():
            paths += [path for path in (folder / part).iterdir() if not path.name.startswith(".")]
    found = []
    for path in sorted(paths, key=lambda path: path.name):
        # A file that goes between the listing and this was taken by another reader.
        with contextlib.suppress(FileNotFoundError):
            size_bytes = sum(map(len, _pieces(path)))
            found.append(StoredMessage(path, _uid(path), size_bytes))
    return found


def _uid(path: Path) -> str:
    name = path.name.partition(":")[0]
    return "".join(char if "!" <= char <= "~" else "_" for char in name)[-MAX_UID:]


def _pieces(path: Path) -> Iterator[bytes]:
    to_crlf = ToCrlf()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield to_crlf.feed(piece)
