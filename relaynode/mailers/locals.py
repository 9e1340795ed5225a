"""The real `Locals`: this system's users, their .forward files, and lists of addresses.

What counts as safe is sendmail's: a .forward belongs to its user or to root, and nobody else can
write it or the folder it is in, or it is as if it were not there. Programs and files are for users
with a login shell of this system, and, unless we are root, for ourselves alone.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import TableError
from relaynode.mailers.as_others import can_become_others, monitor
from relaynode.mailers.monitor_words import ReadForward, ReadList, decode_file
from relaynode.mailers.safe_open import OpenedFile, Reader, is_temporary, read_safely, reason
from relaynode.policy.locals import DEFAULT_USER, AddressFile, Unopened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.mailers.monitor_words import Request
    from relaynode.mailers.users import User, Users

DEFAULT_USERS = ("mailnull", "sendmail", "daemon", "nobody")
"""Who runs the programs of aliases if the configuration names nobody: the first there is."""

SHELLS = Path("/etc/shells")
_SHELLS_WITHOUT_FILE = frozenset({"/bin/sh", "/bin/csh"})
ANY_SHELL = "/SENDMAIL/ANY/SHELL/"
"""A line of /etc/shells that makes every shell a login shell to us."""


@dataclass(frozen=True, slots=True)
class SystemLocals:
    """Users and their files.

    `forward_patterns`: where a .forward may be, the first found counts; `~` is the home, `{detail}`
    what stands behind the plus, `{node}` our short name. `hostname`: our whole one.
    `default_user`: whose programs those of aliases are.
    """

    users: Users
    hostname: str
    forward_patterns: Sequence[str] = ()
    default_user: str = ""
    shells: Path = field(default=SHELLS)

    def is_user(self, name: str) -> bool:
        """See Locals."""
        return self.users.exists(name)

    def why_not_deliver(self, name: str) -> str:
        """See Locals."""
        user = self.users.find(name)
        if user is None or user.uid is None:
            return f"User {name}@{self.hostname} has no account for mailing to"
        if not can_become_others() and os.geteuid() != user.uid:
            return f"Address {name} is unsafe for mailing to"
        shells = self._shells()
        if ANY_SHELL not in shells and user.shell and user.shell not in shells:
            return f"User {name}@{self.hostname} doesn't have a valid shell for mailing to"
        return ""

    def forward(self, name: str, detail: str) -> AddressFile | None:
        """See Locals."""
        user = self.users.find(name)
        if user is None or user.home is None or user.uid is None:
            return None
        try:
            return self._forward(user, detail)
        except PermissionError:  # in a home that is not for us to look into
            names = map(os.fsencode, (user.name, detail))
            found = _asked(ReadForward(*names), f"{user.name}'s .forward")
            return found if isinstance(found, AddressFile) else None

    def _forward(self, user: User, detail: str) -> AddressFile | None:
        for pattern in self.forward_patterns:
            path = self._forward_path(pattern, user, detail)
            opened = self._opened(path, user) if path else None
            if opened is not None and opened.found.st_uid in (0, user.uid):
                return AddressFile(str(path), _text(opened.data), user.name)
        return None

    def include(self, path: str, reader: str) -> AddressFile | Unopened:
        """See Locals."""
        try:
            opened = read_safely(path, self._reader(self._account(reader)))
        except OSError as error:
            if _is_for_monitor(error):
                names = map(os.fsencode, (path, reader))
                return _asked(ReadList(*names), path) or Unopened(path, reason(error))
            if is_temporary(error):
                raise TableError(f"{path}: cannot be read: {reason(error)}") from error
            return Unopened(path, reason(error))
        owner = _user_name(opened.found.st_uid)
        if owner is None:
            uid = opened.found.st_uid
            why_not = f"UID {uid} is an unknown user: cannot mail to"
            return AddressFile(path, _text(opened.data), why_not=why_not)
        whose = owner if reader == DEFAULT_USER else reader
        return AddressFile(path, _text(opened.data), owner, self.why_not_deliver(whose))

    # ---

    def _forward_path(self, pattern: str, user: User, detail: str) -> str:
        """A pattern filled in; "" if the detail, which comes from outside, would leave the folder
        that the pattern means."""
        if "{detail}" in pattern and ("/" in detail or "\0" in detail):
            return ""
        node = self.hostname.partition(".")[0]
        path = pattern.replace("{node}", node).replace("{user}", user.name)
        path = path.replace("{detail}", detail)
        return str(user.home) + path[1:] if path.startswith("~/") else path

    def _opened(self, path: str, user: User) -> OpenedFile | None:
        try:
            return read_safely(path, self._reader(user))
        except OSError as error:
            if is_temporary(error):
                raise TableError(f"{path}: cannot be read: {reason(error)}") from error
            if _is_for_monitor(error):
                raise
            return None

    def _reader(self, user: User | None) -> Reader:
        if not can_become_others() or user is None or user.uid is None or user.gid is None:
            return Reader()
        return Reader(user.uid, frozenset(os.getgrouplist(user.name, user.gid)))

    def _account(self, name: str) -> User | None:
        return self.users.find(name or default_user(self.default_user))

    def _shells(self) -> frozenset[str]:
        try:
            lines = self.shells.read_text("utf-8", "replace").splitlines()
        except OSError:
            return _SHELLS_WITHOUT_FILE
        return frozenset(line.strip() for line in lines if line.startswith("/"))


def _is_for_monitor(error: OSError) -> bool:
    """May root be able to read what we may not?"""
    return isinstance(error, PermissionError) and os.geteuid() != 0 and can_become_others()


def _asked(request: Request, what: str) -> AddressFile | Unopened | None:
    """What the monitor has read; None if there is nothing for us. Raises: TableError."""
    try:
        steward = monitor()
        assert steward is not None
        code, answer = steward.ask(request)
    except OSError as error:
        raise TableError(f"{what}: cannot be read: {error.strerror}") from error
    if code == os.EX_NOPERM:
        return None
    if code != os.EX_OK:
        complaint = answer.decode("utf-8", "replace").strip()
        raise TableError(complaint or f"{what}: cannot be read now")
    return decode_file(answer)


def default_user(configured: str) -> str:
    """Who runs the programs of aliases: the configured user, or the first of DEFAULT_USERS."""
    for name in (configured, *DEFAULT_USERS):
        try:
            if name:
                return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return "nobody"


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
