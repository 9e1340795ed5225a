"""`fetchmail -d N`: polls again and again in the background, and what is said to that process.

One a user: its process id is in ~/.fetchmail.pid (or as `set pidfile` says), whose lock is held for
as long as it lives. SIGUSR1 makes it poll at once, SIGTERM, SIGINT and SIGHUP end it between polls.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.config.fetchmailrc_file import home_of
from relaynode.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relaynode.config.fetchmail_setup import Setup

PS_SUCCESS = 0
PS_EXCLUDE = 8

STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ALL = (*_ENDS, signal.SIGUSR1)


def pid_file_of(setup: Setup) -> Path:
    """Where the process id of the one in the background is."""
    if setup.globals.pidfile:
        return Path(setup.globals.pidfile).absolute()
    if home := os.environ.get("FETCHMAILHOME"):
        return Path(home).absolute() / "fetchmail.pid"
    return Path("/run/fetchmail.pid") if os.geteuid() == 0 else Path(home_of()) / ".fetchmail.pid"


def running(pid_file: Path) -> int | None:
    """The process id of the one in the background, None if there is none."""
    try:
        with pid_file.open("rb") as opened:
            if _can_lock(opened.fileno()):
                return None
            return int(opened.readline().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _can_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wake(pid: int) -> int:
    """Have it poll now."""
    os.kill(pid, signal.SIGUSR1)
    print(f"fetchmail: background fetchmail at {pid} awakened.", file=sys.stderr)
    return PS_SUCCESS


def stop(pid_file: Path, *, is_loud: bool) -> int:
    """End it, and wait until it has."""
    pid = running(pid_file)
    if pid is None:
        print("fetchmail: no other fetchmail is running", file=sys.stderr)
        return PS_EXCLUDE
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    give_up_at = time.monotonic() + STOP_SECONDS
    while running(pid_file) is not None and time.monotonic() < give_up_at:
        time.sleep(_LOOK_SECONDS)
    if is_loud:
        print(f"fetchmail: background fetchmail at {pid} killed.", file=sys.stderr)
    return PS_SUCCESS


def run(
    poll: Callable[[], int],
    interval_seconds: int,
    pid_file: Path,
    *,
    log_file: str | None,
    stays: bool,
) -> int:
    """Poll every `interval_seconds` until told to end; `stays`: in the foreground.

    Raises: BusyError when another does.
    """
    if not stays and os.fork() > 0:
        os._exit(PS_SUCCESS)
    with _hold(pid_file):
        if not stays:
            os.setsid()
            _redirect(log_file)
        return _loop(poll, interval_seconds)


def _loop(poll: Callable[[], int], interval_seconds: int) -> int:
    while True:
        # A poll handles these itself; between polls they are waited for.
        code = poll()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
        found = signal.sigtimedwait(_ALL, interval_seconds)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
        if found is not None and found.si_signo in _ENDS:
            return code


@contextlib.contextmanager
def _hold(pid_file: Path) -> Iterator[None]:
    """Our process id in the file, and its lock."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # while a poll is under way: it is polling
    try:
        descriptor = os.open(pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BusyError(f"{pid_file}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BusyError(f"{pid_file}: another fetchmail is running") from None
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        pid_file.unlink(missing_ok=True)
        os.close(descriptor)


def _redirect(log_file: str | None) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    flags = os.O_WRONLY | os.O_APPEND
    target = os.open(log_file or os.devnull, flags)
    source = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in ((0, source), (1, target), (2, target)):
        os.dup2(descriptor, number)
