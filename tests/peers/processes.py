"""Starting real programs and being sure that they are gone afterwards.

Every wait here has a bound, and asks again until it is true: nothing sleeps for a guessed time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_POLL_SECONDS = 0.01
_KILL_SECONDS = 5
_LOG_TAIL_CHARACTERS = 4000


class PeerFailed(AssertionError):
    """A peer did not start, answer or do something in time. str() ends with its log."""


class Process:
    """A program with all the children it starts, in a session of its own.

    It starts at once. What it writes goes to the file `log`. Call `stop`; should Python end
    without, even by kill -9, then all of it is killed.
    """

    def __init__(
        self, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd="/",  # so that no test folder is held by a process
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which stop() ends as a whole
            )
        self._watch = _watch(self.pid)

    @property
    def pid(self) -> int:
        """The process, which is also its group and session."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program itself, not only a child of it, still runs."""
        return self._process.poll() is None

    def wait_until_answers(
        self, port: int, *, seconds: float = 15, hopeless: str | None = None
    ) -> None:
        """Wait until a server greets on `port` of 127.0.0.1. Raises PeerFailed.

        An accepted connection is not enough: the kernel accepts before the server is there.
        `hopeless` is what the log says when waiting is of no use.
        """

        def answers() -> bool:
            self._check_hope(hopeless)
            return _greets(port)

        if not wait_until(answers, seconds):
            raise PeerFailed(f"{self.name} did not answer on port {port}\n{tail(self.log)}")

    def kill(self) -> None:
        """SIGKILL for the program itself, from any thread. `stop` must be called all the same."""
        self._process.kill()

    def stop(self, grace_seconds: float = 5) -> None:
        """End the program and all its children: asked first, then killed. May be called twice.

        Raises PeerFailed when a child survives even that.
        """
        if self._watch.returncode is not None:
            return  # stopped before; the number of the group may be another's by now
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if not wait_until(lambda: not _group_runs(self.pid), _KILL_SECONDS):
            raise PeerFailed(f"children of {self.name} still run after SIGKILL")
        self._watch.communicate(b"stopped\n")

    def _check_hope(self, hopeless: str | None) -> None:
        if not self.is_running:
            code = self._process.returncode
            raise PeerFailed(f"{self.name} ended with {code} as it started\n{tail(self.log)}")
        if hopeless and hopeless in (log := tail(self.log)):
            raise PeerFailed(f"{self.name} does not come up\n{log}")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask `condition` until it is true, for at most `seconds`; whether it became true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that was not handed out lately.

    Test processes that run side by side have their ranges, below the ports that systems give to
    outgoing connections.
    """
    for port in itertools.islice(_ports, _RANGE_PORTS):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise PeerFailed("all ports for tests are taken")


def _own_ports() -> Iterator[int]:
    """From somewhere in the range on: another run of tests may be at work beside this one."""
    ports = _own_range()
    beginning = os.getpid() * 37 % len(ports)
    return itertools.cycle((*ports[beginning:], *ports[:beginning]))


def _own_range() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _RANGES
    return range(_FIRST_PORT + worker * _RANGE_PORTS, _FIRST_PORT + (worker + 1) * _RANGE_PORTS)


def tail(log: Path) -> str:
    """The end of a log file, for error messages."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return f"({log.name} was not written)"
    return text[-_LOG_TAIL_CHARACTERS:]


_FIRST_PORT, _RANGES, _RANGE_PORTS = 12_000, 20, 1_000  # Linux gives 32768 and above
_ports = _own_ports()


def _watch(group: int) -> subprocess.Popen[bytes]:
    """A shell that kills `group` when its input ends, as it does when we die, without a line."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r line || kill -s KILL -- "-$0"', str(group)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what ends us, such as Ctrl-C, must not end it too
    )


def _greets(port: int) -> bool:
    """Whether a server says something first, as SMTP and POP3 servers do; takes leave of it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            greeting = connection.recv(512)
            connection.sendall(b"QUIT\r\n")
            # Until the server closes: its session must not be among those a test looks at.
            while connection.recv(512):
                pass
    except OSError:
        return False
    return bool(greeting)


def _group_runs(group: int) -> bool:
    """Whether a process of `group` runs. Who is dead, but not yet fetched by init, does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    entries = list(Path("/proc").glob("[0-9]*/stat"))
    return not entries or any(_runs_in(group, entry) for entry in entries)


def _runs_in(group: int, entry: Path) -> bool:
    # proc(5): "pid (name) state ppid pgrp ..."; the name may hold blanks and brackets.
    try:
        state, _, of_group = entry.read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(of_group) == group and state not in "ZX"
