"""What the names that a peer sends may lead to. Nothing is looked up: only the text is judged.

Two kinds of targets exist. A spool name (`D.`, `X.`) is data or an execution file of ours. Any
other name is a path below the one public folder: `~/x`, `~uucp/x`, `x`, or an absolute path that
begins with the folder's own. Nothing else is reachable, whatever the text is. Whoever opens a file
must still see that no symbolic link leads out of the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

MAX_SPOOL_NAME = 64
"""Peers make 14 characters of it, or a little more with long system names."""
MAX_PATH_BYTES = 1024
MAX_COMPONENTS = 32
MAX_COMPONENT_BYTES = 255

_SPOOL = re.compile(r"[DX]\.[A-Za-z0-9][A-Za-z0-9._-]*")
_TEMP = re.compile(r"[A-Z]+\.[A-Za-z0-9._-]+")
_SYSTEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Whose home folder the public folder is by tradition.
_PUBLIC_USERS = frozenset(("", "uucp"))


@dataclass(frozen=True, slots=True)
class SpoolName:
    """A file of the spool."""

    name: str

    @property
    def is_execution(self) -> bool:
        """Whether its arrival starts a job."""
        return self.name.startswith("X.")


@dataclass(frozen=True, slots=True)
class PublicPath:
    """A path below the public folder, as a list of components.

    `is_folder`: the sender says that it is one. `base_name`: what a file is called that is put in
    there if the path leads to a folder; empty if the sender's own name for it is of no use.
    """

    components: tuple[str, ...]
    is_folder: bool = False
    base_name: str = ""

    @property
    def within(self) -> tuple[str, ...]:
        """The components of the file, should the path be a folder."""
        return (*self.components, self.base_name)


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A name that leads nowhere. `reason` is safe to log."""

    reason: str


Target: TypeAlias = SpoolName | PublicPath


def is_system_name(name: str) -> bool:
    """Whether a system can be called that: it goes into file names and logs."""
    return len(name) <= MAX_SPOOL_NAME and _SYSTEM.fullmatch(name) is not None


def spool_name(name: str) -> SpoolName | Forbidden:
    """A name that a peer gives to a file of our spool: D. and X. only, never C."""
    if len(name) > MAX_SPOOL_NAME:
        return Forbidden("a spool name too long")
    if ".." in name or not _SPOOL.fullmatch(name):
        return Forbidden("no spool name that a peer may use")
    return SpoolName(name)


def is_spool_like(name: str) -> bool:
    """Whether a name is meant for the spool: one capital letter, a dot, no slash."""
    return re.match(r"[A-Z]\.", name) is not None and "/" not in name


def is_temp(name: str) -> bool:
    """Whether a peer's name for its copy can be the key of a broken transfer.

    `D.0` and the like are dummies: the peer has no copy, and may use the same for any file.
    """
    if len(name) > MAX_SPOOL_NAME or ".." in name or not _TEMP.fullmatch(name):
        return False
    return name not in ("D.0", "D.00")


def target_of(name: str, source: str, public: str) -> Target | Forbidden:
    """Where a file goes that a peer sends as `name`; `source` is what it is called there.

    `public` is the path of the public folder as peers may write it.
    """
    if is_spool_like(name):
        return spool_name(name)
    return public_path(name, source, public)


def public_path(name: str, source: str, public: str) -> PublicPath | Forbidden:
    """A path below the public folder, or why not."""
    if len(name.encode("utf-8", "surrogateescape")) > MAX_PATH_BYTES:
        return Forbidden("a path too long")
    if _CONTROL.search(name):
        return Forbidden("a control character in a path")
    below = _below_public(name, public)
    if below is None:
        return Forbidden("a path outside the public folder")
    components = tuple(part for part in below.split("/") if part not in ("", "."))
    if reason := _fault(components):
        return Forbidden(reason)
    is_folder = not components or below.endswith(("/", "/."))
    base_name = source.rstrip("/").rpartition("/")[2]
    if not base_name or _fault((base_name,)) or _CONTROL.search(base_name):
        base_name = ""
    if is_folder and not base_name:
        return Forbidden("a folder, and no name for the file in it")
    return PublicPath(components, is_folder, base_name)


def _below_public(name: str, public: str) -> str | None:
    """The rest of a path behind the public folder; None if it is elsewhere."""
    if name.startswith("~"):
        user, _, rest = name[1:].partition("/")
        return rest if user in _PUBLIC_USERS else None
    if not name.startswith("/"):
        return name
    folder = public.rstrip("/") + "/"
    if name + "/" == folder:
        return ""
    return name.removeprefix(folder) if name.startswith(folder) else None


def _fault(components: tuple[str, ...]) -> str:
    """What is wrong with the components of a path; empty if nothing."""
    if len(components) > MAX_COMPONENTS:
        return "a path too deep"
    for component in components:
        # A public folder may be somebody's home: .rhosts, .ssh and .forward are not for strangers.
        if component.startswith("."):
            return "a hidden name or a step upward in a path"
        if len(component.encode("utf-8", "surrogateescape")) > MAX_COMPONENT_BYTES:
            return "a name too long"
    return ""
