"""Whose a program or file is that an alias or a .forward names: never root's.

Run by root, a node becomes the user whose .forward it was, or the default user for aliases, itself
or through its monitor. Run by anybody else it can become nobody, and serves its own user alone.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.reason import Reason
from relaynode.mail.status import permanent
from relaynode.mailers.as_others import can_become_others
from relaynode.mailers.locals import default_user
from relaynode.mailers.users import User

if TYPE_CHECKING:
    from relaynode.mailers.users import Users


def deliverer(users: Users, name: str, configured_default: str) -> User:
    """The user to become for `name` ("" for the default one). Raises: RefusedError."""
    if not can_become_others():
        return _ourselves(users, name)
    user = users.find(name or default_user(configured_default))
    if user is not None and user.uid == 0:
        user = users.find(default_user(configured_default))
    if user is None or not user.uid:
        status = permanent(f"there is no user to deliver for {name or 'aliases'}", "5.3.5")
        raise RefusedError(status, name, Reason.CONFIGURATION)
    return user


def _ourselves(users: Users, name: str) -> User:
    own = pwd.getpwuid(os.geteuid())
    wanted = users.find(name) if name else None
    if name and (wanted is None or wanted.uid != own.pw_uid):
        status = permanent(f"Address {name} is unsafe for mailing to programs", "5.7.1", 550)
        raise RefusedError(status, name, Reason.CONFIGURATION)
    return User(own.pw_name, Path(own.pw_dir), own.pw_uid, own.pw_gid, own.pw_shell)
