"""The local users: those of the system, and those the configuration names."""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.mail.status import permanent

if TYPE_CHECKING:
    from relaynode.config.values import Mailbox
    from relaynode.mail.status import Status


@dataclass(frozen=True, slots=True)
class User:
    """A local user. `uid` and `gid` are None for one that the system does not know. `shell`: what
    he gets at login."""

    name: str
    home: Path | None = None
    uid: int | None = None
    gid: int | None = None
    shell: str = ""


class Users:
    """Looks users up by name.

    `configured`: names without an account, whose mail we keep as ourselves. A mailbox pattern that
    begins with the user's home has no place for them.
    """

    def __init__(self, mailbox: Mailbox, configured: frozenset[str]) -> None:
        self._mailbox = mailbox
        self._configured = frozenset(name.lower() for name in configured)

    def find(self, name: str) -> User | None:
        """The user called `name`, in whatever case, or None."""
        name = name.lower()
        if name in self._configured and not self._mailbox.needs_home:
            return User(name)
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):  # ValueError: a NUL or a lone surrogate in the name
            return None
        return User(entry.pw_name, Path(entry.pw_dir), entry.pw_uid, entry.pw_gid, entry.pw_shell)

    def find_with_detail(self, name: str) -> tuple[User | None, str]:
        """The user that mail for `name` is for, and what stands behind his own name and a plus."""
        user = self.find(name)
        if user is not None:
            return user, ""
        own, _, detail = name.partition("+")
        return self.find(own), detail

    def exists(self, name: str) -> bool:
        """Is there such a user?"""
        return self.find(name) is not None

    def mailbox_of(self, user: User) -> Path:
        """Where the user's mail goes."""
        return self._mailbox.path(user.name, user.home)

    @property
    def are_maildirs(self) -> bool:
        """Maildir or mbox?"""
        return self._mailbox.is_maildir


def unknown(name: str) -> Status:
    """There is no such user."""
    return permanent(f"<{name}>... User unknown", "5.1.1", 550)
