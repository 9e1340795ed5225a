"""`fetchmail`: a poll of what a .fetchmailrc names, with its options, words and exit codes.

    fetchmail [options] [server ...]

The file is ~/.fetchmailrc, FETCHMAILHOME/fetchmailrc or that of -f. Any user polls his own mail:
what is fetched goes into a queue of his (~/.local/state/relaynode), and from there, as configured,
to the machine's SMTP server, a program or a mailbox. If the daemon was given the same file
([fetch] fetchmailrc), the daemon polls.

See docs/from-fetchmail.md for what is otherwise.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode import __version__
from relaynode.cli import fetchmail_daemon
from relaynode.cli.client import DaemonClient
from relaynode.cli.fetchmail_screen import FetchmailScreen
from relaynode.cli.link import polled, run_links
from relaynode.config.fetchmail_dump import dump
from relaynode.config.fetchmail_options import (
    CommandLine,
    CommandLineError,
    UnknownOptionError,
    parse_command_line,
    usage,
)
from relaynode.config.fetchmailrc import FetchmailrcError
from relaynode.config.fetchmailrc_accounts import needs_password
from relaynode.config.fetchmailrc_file import STANDARD_INPUT, port_of, read_setup, usual_file
from relaynode.config.from_fetchmail import accounts_of
from relaynode.config.loader import find, load
from relaynode.errors import BusyError, ConfigError, RelaynodeError

if TYPE_CHECKING:
    from relaynode.config.fetchmail_setup import Setup
    from relaynode.config.from_fetchmail import FoundAccount
    from relaynode.config.loader import Config

PS_SUCCESS = 0
PS_NOMAIL = 1
PS_AUTHFAIL = 3
PS_SYNTAX = 5
PS_EXCLUDE = 8
PS_LOCKBUSY = 9
PS_UNDEFINED = 23

_SYSTEM = Path("/etc")
_TOLD = "fetchmailrc-remarks"


def main(argv: list[str] | None = None, program: str = "fetchmail") -> int:
    """Run; the exit code, which is fetchmail's."""
    try:
        return _run(parse_command_line(sys.argv[1:] if argv is None else argv))
    except UnknownOptionError as error:
        print(error, file=sys.stderr)
        print(usage())
        return error.exit_code
    except CommandLineError as error:
        print(f"{error}\n{usage()}", file=sys.stderr)
        return error.exit_code
    except FetchmailrcError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except ConfigError as error:
        _complain(str(error))
        return PS_SYNTAX
    except BusyError as error:
        _complain(str(error))
        return PS_LOCKBUSY
    except RelaynodeError as error:
        _complain(str(error))
        return PS_UNDEFINED
    except KeyboardInterrupt:
        return PS_NOMAIL


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"fetchmail: {line}", file=sys.stderr)


def _run(line: CommandLine) -> int:
    if line.is_help:
        print(usage())
        return PS_SUCCESS
    if line.is_version and line.file is None and not Path(usual_file()).exists():
        print(_version())
        return PS_SUCCESS
    setup = read_setup(line.file or usual_file(), line.overrides)
    for warning in setup.warnings:
        print(warning, file=sys.stderr)
    if line.is_version:
        print(_version(), *_described(setup), sep="\n")
        return PS_SUCCESS
    if line.is_dump:
        sys.stdout.write(dump(setup))
        return PS_SUCCESS
    return _start(line, setup)


def _start(line: CommandLine, setup: Setup) -> int:
    """Poll, or become or speak to the one in the background."""
    pid_file = fetchmail_daemon.pid_file_of(setup)
    if line.is_quit:
        code = fetchmail_daemon.stop(pid_file, is_loud=not line.is_silent)
        return code if line.only_quits or code != PS_SUCCESS else _poll(line, setup)
    if not setup.servers:
        raise FetchmailrcError("fetchmail: no mailservers have been specified.")
    if (running := fetchmail_daemon.running(pid_file)) is not None:
        if line.has_options or line.overrides.hosts:
            text = "can't accept options while a background fetchmail is running."
            _complain(text)
            return PS_EXCLUDE
        return fetchmail_daemon.wake(running)
    if setup.globals.poll_interval and not line.is_check:
        return fetchmail_daemon.run(
            lambda: _poll(line, setup),
            setup.globals.poll_interval,
            pid_file,
            log_file=setup.globals.logfile,
            stays=line.stays,
        )
    return _poll(line, setup)


def _version() -> str:
    return f"This is the fetchmail of relaynode {__version__}, which follows fetchmail 6.4."


def _described(setup: Setup) -> list[str]:
    lines = []
    for account in accounts_of(setup, port_of):
        keys = account.keys
        lines.append(f"Options for retrieving from {account.user}@{account.pollname}:")
        lines += [f"  {key} = {value}" for key, value in keys.items()]
        lines += [f"  {remark}" for remark in account.remarks]
    return lines


# --- one poll


def _poll(line: CommandLine, setup: Setup) -> int:
    """Visit all that is to be visited; the exit code."""
    place = _configuration()
    found = accounts_of(setup, port_of, servers=setup.polled, is_node=place is not None)
    usable = [account for account in found if account.is_usable and _has_password(account)]
    for account in found:
        if not account.is_usable:
            _complain(f"{account.name}: {'; '.join(account.remarks)}")
    if not usable:
        return PS_AUTHFAIL if any(account.is_usable for account in found) else PS_SYNTAX
    config = load(place, accounts=usable)
    screen = FetchmailScreen(usable, is_silent=line.is_silent, only_counts=line.is_check)
    run_links(
        config,
        polled(config, [account.name for account in usable], only_counts=line.is_check),
        is_up=False,
        screen=screen,
        asks_daemon=_daemon_has_it(config, place, line),
    )
    _tell_once(config, usable)
    return screen.exit_code


def _configuration() -> Path | None:
    """The relaynode.toml of this user, None if he has none. Only root uses the system's."""
    place = find()
    is_systems = place is not None and place.is_relative_to(_SYSTEM)
    if is_systems and os.geteuid() != 0 and not os.environ.get("RELAYNODE_CONFIG"):
        return None
    return place


def _has_password(account: FoundAccount) -> bool:
    """Has it one, after the user was asked on a terminal?"""
    if account.password is not None or not needs_password(account):
        return True
    who = f"{account.user}@{account.pollname}"
    if not sys.stdin.isatty():
        _complain(f"can't find a password for {who}.")
        return False
    account.password = getpass.getpass(f"Enter password for {who}: ")
    return True


def _daemon_has_it(config: Config, place: Path | None, line: CommandLine) -> bool:
    """Does a daemon of this spool poll just these accounts, as they are?"""
    overrides = line.overrides
    if place is None or line.file == STANDARD_INPUT or overrides.server or overrides.user:
        return False
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is None:
        return False
    daemon.close()
    own = load(place)
    rc = own.file.fetch.fetchmailrc
    file = Path(line.file or usual_file())
    return (
        rc is not None
        and own.absolute(rc).resolve() == file.resolve()
        and own.file.account.keys() >= config.file.account.keys()
    )


def _tell_once(config: Config, accounts: list[FoundAccount]) -> None:
    """What an account cannot do as its file says: told when it is news."""
    lines = [f"{account.name}: {remark}" for account in accounts for remark in account.remarks]
    digest = hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()
    told = config.spool / _TOLD
    try:
        if told.exists() and told.read_text() == digest:
            return
        told.write_text(digest)
    except OSError:
        pass  # then it is told again
    for text in lines:
        _complain(text)


if __name__ == "__main__":
    sys.exit(main())
