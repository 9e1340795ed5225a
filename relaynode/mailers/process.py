"""A program that a mailer hands a message to: fed, listened to, waited for, and what its end means.

The exit code is one of sysexits(3): 0 took it, 75 asks for another try, others refuse. A program
that is killed, or that takes too long, may do better next time. Not here: which program it is, as
whom it runs, and what it is given (`program.py`, `uux.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import StoreError
from relaynode.mail.reason import Reason
from relaynode.mail.status import Status, permanent, temporary
from relaynode.mailers.as_others import Lent, monitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from relaynode.mailers.monitor_words import Request
    from relaynode.mailers.users import User

MAX_OUTPUT_BYTES = 4096
"""What is kept of a program's output."""

LEFTOVER_SECONDS = 1.0
"""How long we wait for the ends of its pipes when it has ended: what it left running may hold them
for ever."""

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
"""Where a program finds others."""

_BY_EXIT_CODE = {
    os.EX_USAGE: permanent("Command line usage error", "5.0.0", 500),
    os.EX_DATAERR: permanent("Data format error", "5.6.0", 501),
    os.EX_NOINPUT: permanent("Cannot open input", "5.3.0", 550),
    os.EX_NOUSER: permanent("User unknown", "5.1.1", 550),
    os.EX_NOHOST: permanent("Host unknown", "5.1.2", 550),
    os.EX_UNAVAILABLE: permanent("Service unavailable", "5.0.0"),
    os.EX_SOFTWARE: permanent("Internal error", "5.3.0"),
    os.EX_OSERR: temporary("Operating system error"),
    os.EX_OSFILE: permanent("System file missing", "5.3.5"),
    os.EX_CANTCREAT: permanent("Can't create output", "5.0.0", 550),
    os.EX_IOERR: temporary("I/O error"),
    os.EX_PROTOCOL: permanent("Remote protocol error", "5.5.0"),
    os.EX_NOPERM: permanent("Insufficient permission", "5.0.0", 550),
    os.EX_CONFIG: permanent("Local configuration error", "5.3.5"),
}
"""What the exit codes of sysexits(3) mean for a recipient, in sendmail's words."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it printed. `reason`: a code of mail/reason.py."""

    status: Status
    output: bytes = b""
    reason: str = Reason.PROGRAM_FAILED

    @property
    def lines(self) -> tuple[str, ...]:
        """What it printed, for people."""
        return tuple(self.output.decode("utf-8", "replace").splitlines())


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run for one message.

    `command`: path and arguments. `mailer`: what the program is called where it is told about.
    `taken`: what exit code 0 means. `folder`: where it runs. `wish`: the same for the monitor, if
    there is one; without, the program is one of the node's own. `is_patient`: an exit code that is
    none of sysexits(3) refuses nothing: a script that fails ends so.
    """

    command: Sequence[str]
    mailer: str
    taken: Status
    timeout_seconds: float
    folder: str = "/"
    wish: Request | None = None
    is_patient: bool = False

    def run(self, user: User, pieces: Iterator[bytes]) -> Ended:
        """Run as `user`, if we can become somebody else, with `pieces` on its standard input.

        Never raises: what cannot be started, or fed, is tried again.
        """
        try:
            process = self._start(user)
        except OSError as error:
            text = f"{self.command[0]}: {error.strerror or error}"
            return Ended(temporary(text, "4.3.0"))
        except (ValueError, subprocess.SubprocessError) as error:
            return Ended(temporary(f"{self.command[0]}: {error}", "4.3.0"))
        return _Conversation(self, process).run(pieces)

    def meaning(self, code: int) -> Status:
        """What it means that the program ended with this code, a signal's being negative."""
        if code == os.EX_OK:
            return self.taken
        if code == os.EX_TEMPFAIL:
            return temporary(f"{self.mailer} mailer ({self.command[0]}) exited with EX_TEMPFAIL")
        if code < 0:
            return temporary(f"mailer {self.mailer} died with signal {-code}", "4.3.0")
        if code not in _BY_EXIT_CODE and self.is_patient:
            return temporary(f"mailer {self.mailer} ended with exit code {code}", "4.3.0")
        return _BY_EXIT_CODE.get(code) or permanent(f"unknown mailer error {code}", "5.3.0")

    def _start(self, user: User) -> _OwnProcess | Lent:
        if self.wish is not None and user.uid != os.geteuid():
            steward = monitor()
            if steward is not None:
                return steward.start(self.wish)
        return _OwnProcess(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=self.folder,
            env=environment(),
            umask=0o022,
            start_new_session=True,
            **_identity(user),
        )


class _OwnProcess(subprocess.Popen[bytes]):
    """One that we have started, as the leader of its group."""

    def kill_all(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class _Conversation:
    """One process: fed, listened to and waited for at the same time, as it may stop reading, or
    print more than a pipe holds."""

    def __init__(self, program: Program, process: _OwnProcess | Lent) -> None:
        self._program = program
        self._process = process
        self._output = bytearray()
        self._failure: StoreError | None = None

    def run(self, pieces: Iterator[bytes]) -> Ended:
        feeder = threading.Thread(target=self._feed, args=(pieces,), daemon=True)
        listener = threading.Thread(target=self._listen, daemon=True)
        feeder.start()
        listener.start()
        timeout_seconds = self._program.timeout_seconds
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill_all()
            self._process.wait()
            text = f"{self._program.mailer} mailer took longer than {timeout_seconds:g} seconds"
            return Ended(temporary(text, "4.4.7"), self._heard(listener))
        feeder.join(LEFTOVER_SECONDS)
        if self._failure is not None:
            return Ended(temporary(str(self._failure), "4.3.0"), reason=self._failure.reason)
        status = self._program.meaning(code)
        reason = "" if status.is_success else Reason.PROGRAM_FAILED
        return Ended(status, self._heard(listener), reason)

    def _feed(self, pieces: Iterator[bytes]) -> None:
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            try:
                for piece in pieces:
                    _write_all(pipe.fileno(), piece)
            except BrokenPipeError:
                pass  # it need not read all it is given
            except StoreError as error:
                self._failure = error
                # Before its input ends, or it would take the start for the whole.
                self._process.kill_all()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while piece := os.read(pipe.fileno(), MAX_OUTPUT_BYTES):
                self._output += piece[: MAX_OUTPUT_BYTES - len(self._output)]

    def _heard(self, listener: threading.Thread) -> bytes:
        listener.join(LEFTOVER_SECONDS)
        return bytes(self._output)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _identity(user: User) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    assert user.uid is not None
    assert user.gid is not None
    groups = os.getgrouplist(user.name, user.gid)
    return {"user": user.uid, "group": user.gid, "extra_groups": groups}


def environment() -> dict[str, str]:
    """What sendmail gives: who calls, and where programs and the time zone are found."""
    environment = {"AGENT": "sendmail", "PATH": PATH}
    if "TZ" in os.environ:
        environment["TZ"] = os.environ["TZ"]
    return environment
