"""What a mail server delivered, read from the files it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from pathlib import Path


@dataclass(frozen=True)
class Delivery:
    """One message as one recipient got it."""

    reverse_path: str  # without <>; "" is the null reverse-path
    recipient: str  # as in RCPT
    content: bytes  # from the server's Received field on, with LF line ends


def read(
    file: Path | os.DirEntry[str], *, path_field: bytes, to_field: bytes, ignored: int = 0
) -> list[Delivery]:
    """A file of a Maildir, which begins with a line that names the reverse-path, one that names the
    recipients, which may be folded, and so many lines that do not matter."""
    with open(file, "rb") as content:
        reverse_path = _value(content.readline(), path_field).strip("<>")
        recipients = _value(content.readline(), to_field)
        text = content.read()
    while text.startswith((b" ", b"\t")):
        more, _, text = text.partition(b"\n")
        recipients += _value(more, more[:1])
    for _ in range(ignored):
        text = text.partition(b"\n")[2]
    return [Delivery(reverse_path, one, text) for one in recipients.replace(",", " ").split()]


def _value(line: bytes, field: bytes) -> str:
    assert line.startswith(field), f"{line!r} where {field!r} belongs"
    return line.removeprefix(field).strip().decode("utf-8", "surrogateescape")
