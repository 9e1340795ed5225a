"""[node] user: as whom a node runs that root has started."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

from relaynode.config.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relaynode.config.schema import File

_KEY = ("node", "user")


def uid_of(user: str | None) -> int | None:
    """The user's id; None if none is named, or there is no such user."""
    try:
        return None if user is None else pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):  # ValueError: no name, since there is a NUL in it
        return None


def check_user(file: File, path: Path | None) -> Iterator[Wrong]:
    """What speaks against that user. `path`: the file's."""
    user = file.node.user
    if user is None:
        return
    uid = uid_of(user)
    if uid is None:
        remedy = f"say: useradd --system --no-create-home {user} (FreeBSD: pw useradd {user})"
        yield Wrong(_KEY, f'there is no user "{user}" on this system', remedy)
    elif uid == 0:
        yield Wrong(_KEY, f'"{user}" is root', "take the key out to run as root, or name another")
    if file.node.spool is None and path is not None and not path.is_relative_to("/etc"):
        yield Wrong(
            _KEY, f'a node of "{user}" must name its spool', 'spool = "/var/spool/relaynode"'
        )
