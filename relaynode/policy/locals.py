"""What expansion must know about this machine, and asks for: its users and their files.

Policies read nothing themselves; they are handed a `Locals`. `mailers/locals.py` has the one that
looks at the real system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_USER = ""
"""Stands for the user that programs and files of aliases are run and written as."""


@dataclass(frozen=True, slots=True)
class AddressFile:
    """A .forward or :include: file as it was read.

    `owner`: the user it belongs to, or DEFAULT_USER. `why_not`: why its owner may have no programs
    run and no files written, or "".
    """

    path: str
    text: str
    owner: str = DEFAULT_USER
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Unopened:
    """A file that will not be read, and why, in the system's words."""

    path: str
    reason: str


class Locals(Protocol):
    """The users of this machine."""

    def is_user(self, name: str) -> bool:
        """Is there such a user? `name` in lower case."""
        ...

    def why_not_deliver(self, name: str) -> str:
        """Why a user may have no programs run and no files written, or ""."""
        ...

    def forward(self, name: str, detail: str) -> AddressFile | None:
        """The user's .forward file, or None if there is none that counts.

        `detail`: what stood behind the plus. Raises: TableError when it may be readable later.
        """
        ...

    def include(self, path: str, reader: str) -> AddressFile | Unopened:
        """A list of addresses, as `reader` (a user, or DEFAULT_USER) may read it.

        Raises: TableError when it may be readable later.
        """
        ...


@dataclass(frozen=True, slots=True)
class NamesOnly:
    """`Locals` without files: users are known by `knows` alone."""

    knows: Callable[[str], bool]

    def is_user(self, name: str) -> bool:
        """See Locals."""
        return self.knows(name)

    def why_not_deliver(self, name: str) -> str:
        """See Locals."""
        return ""

    def forward(self, name: str, detail: str) -> None:
        """See Locals."""
        return

    def include(self, path: str, reader: str) -> Unopened:
        """See Locals."""
        return Unopened(path, "No such file or directory")
