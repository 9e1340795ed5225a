"""What the monitor's processes do: look whether a request may be, become the user, and do it.

The one who asks takes mail from the whole world, so a request is believed nothing. Nothing is done
as root. A mailbox is where the configuration has it; a program or file must be what the aliases, or
a user's own .forward, make of the address it came from, looked up anew. What is left to one who has
taken over the node is what mail could have done: to put mail into users' mailboxes and programs,
and to read the lists of addresses that the aliases and .forward files name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError, RelaynodeError
from relaynode.mailers import monitor_words as words
from relaynode.mailers.as_user import spool_groups
from relaynode.mailers.by_program import home_of
from relaynode.mailers.command import fill_in
from relaynode.mailers.mailbox import become, deliver
from relaynode.mailers.process import environment
from relaynode.mailers.program import SHELL
from relaynode.mailers.run_as import deliverer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.mail.envelope import Recipient
    from relaynode.mailers.locals import SystemLocals
    from relaynode.mailers.users import User, Users
    from relaynode.policy.locals import AddressFile, Unopened

_MAILDIR_NAME = re.compile(r"[!-.0-9;-~]{1,1000}")
_FROM_LINE = re.compile(r"From [^\n]*")


class NotAllowed(Exception):
    """A request that the node, as it was written, does not make. str(): why not."""


@dataclass(frozen=True, slots=True)
class Acts:
    """What may be done, by the configuration.

    `expand`: what an address stands for now. `names_list`: do the aliases or that user's .forward
    name a list? `command`: the program of [local], if there is one. `default_user`: whose the
    programs of aliases are, or "".
    """

    users: Users
    locals: SystemLocals
    expand: Callable[[str], Sequence[Recipient]]
    names_list: Callable[[str, str], bool]
    command: Sequence[str] | None
    default_user: str

    def do(self, request: words.Request) -> int:
        """In a process of its own, whose standard input and output are the request's. Its exit
        code, of sysexits(3)."""
        try:
            return self._do(request)
        except (NotAllowed, RelaynodeError) as error:
            say(str(error))
            return os.EX_NOPERM if isinstance(error, NotAllowed) else os.EX_TEMPFAIL

    def _do(self, request: words.Request) -> int:
        match request:
            case words.FillMailbox():
                return self._fill_mailbox(request)
            case words.AppendFile():
                return self._append_file(request)
            case words.RunProgram():
                return self._run_program(request)
            case words.RunCommand():
                return self._run_command(request)
            case words.ReadForward(user, detail):
                return _print(self.locals.forward(_text(user), _text(detail)))
            case words.ReadList():
                return self._read_list(request)
            case _:
                raise NotAllowed("no such request")

    # --- mailboxes and files

    def _fill_mailbox(self, request: words.FillMailbox) -> int:
        user = self._account(_text(request.user))
        unique, detail = _text(request.unique), _text(request.detail)
        kind = "maildir" if self.users.are_maildirs else "mbox"
        if not (_MAILDIR_NAME if kind == "maildir" else _FROM_LINE).fullmatch(unique):
            raise NotAllowed("no name for a message")
        path = self.users.mailbox_of(user)
        groups = spool_groups(user, kind, path)
        _become(user, groups)
        return deliver(kind, path, unique, detail, may_be_there=request.may_be_there)

    def _append_file(self, request: words.AppendFile) -> int:
        path, run_as = _text(request.path), _text(request.run_as)
        self._insist(_text(request.origin), "*file*", path, run_as)
        if not _FROM_LINE.fullmatch(_text(request.from_line)):
            raise NotAllowed("no From line")
        _become(self._deliverer(run_as), [])
        return deliver("file", Path(path), _text(request.from_line), "")

    # --- programs

    def _run_program(self, request: words.RunProgram) -> int:
        command, run_as = _text(request.command), _text(request.run_as)
        self._insist(_text(request.origin), "prog", command, run_as)
        user = self._deliverer(run_as)
        return _execute([SHELL, "-c", command.removeprefix("|")], user, in_home=bool(run_as))

    def _run_command(self, request: words.RunCommand) -> int:
        if self.command is None:
            raise NotAllowed("[local] has no command")
        user = self.users.find(_text(request.user))
        if user is None:
            raise NotAllowed("no such user")
        sender, detail = _text(request.sender), _text(request.detail)
        filled = fill_in(self.command, user.name, detail, sender)
        return _execute(filled, self._deliverer(user.name), in_home=True)

    def _insist(self, origin: str, mailer: str, address: str, run_as: str) -> None:
        """Does the address lead there, by the aliases and .forward files as they are now?"""
        wanted = mailer, address, run_as
        found = self.expand(origin)
        if not any((one.mailer, one.address, one.run_as) == wanted for one in found):
            say(f"{address}: {origin} does not lead there (any more)")
            raise SystemExit(os.EX_TEMPFAIL)

    # --- reading

    def _read_list(self, request: words.ReadList) -> int:
        path, reader = _text(request.path), _text(request.reader)
        if not self.names_list(path, reader):
            raise NotAllowed(f"{path} is named by no alias and no .forward")
        return _print(self.locals.include(path, reader))

    # --- users

    def _deliverer(self, name: str) -> User:
        try:
            user = deliverer(self.users, name, self.default_user)
        except RefusedError as error:
            raise NotAllowed(error.status.text) from error
        return _checked(user)

    def _account(self, name: str) -> User:
        user = self.users.find(name)
        if user is None:
            raise NotAllowed("no such user")
        return _checked(user)


def say(text: str) -> None:
    """Tell the one who asked."""
    os.write(2, text.encode("utf-8", "surrogateescape") + b"\n")


def _checked(user: User) -> User:
    if not user.uid or user.gid is None:
        raise NotAllowed(f"nothing is done as {user.name}")
    return user


def _become(user: User, groups: Sequence[int]) -> None:
    assert user.uid
    assert user.gid is not None
    become(user.uid, user.gid, *groups)
    if 0 in (os.getuid(), os.geteuid()):
        raise NotAllowed("still root")


def _execute(command: Sequence[str], user: User, *, in_home: bool) -> int:
    assert user.gid is not None
    _become(user, os.getgrouplist(user.name, user.gid))
    os.umask(0o022)
    try:
        os.chdir(home_of(user) if in_home else "/")
        os.execvpe(command[0], list(command), environment())
    except OSError as error:
        say(f"{command[0]}: {error.strerror or error}")
    return os.EX_TEMPFAIL


def _print(found: AddressFile | Unopened | None) -> int:
    with open(1, "wb", closefd=False) as sink:
        sink.write(words.encode_file(found))
    return os.EX_OK


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
