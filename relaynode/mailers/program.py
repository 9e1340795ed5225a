"""The program mailer: hands mail to the command that an alias or a .forward names.

    /bin/sh -c COMMAND, as the command's user, in the user's home, with a small environment

The command is the administrator's or the user's own text; nothing of the message or its envelope
gets into it. On standard input comes a From line and the message, with Unix line ends. The exit
code is one of sysexits(3): 0 took it, 75 asks for another try, others refuse. A program that is
killed, or that takes too long, may do better next time. What it prints goes to the sender.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError, StoreError
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.stored import from_line, stored
from relaynode.queue.finish import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from typing import Any

    from relaynode.mailers.users import User, Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery

SHELL = "/bin/sh"
MAX_OUTPUT_BYTES = 4096
"""What is kept of a program's output."""

LEFTOVER_SECONDS = 1.0
"""How long we wait for the ends of its pipes when it has ended: what it left running may hold them
for ever."""

_RELAY = "prog"
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

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
    os.EX_TEMPFAIL: temporary(f"prog mailer ({SHELL}) exited with EX_TEMPFAIL"),
    os.EX_PROTOCOL: permanent("Remote protocol error", "5.5.0"),
    os.EX_NOPERM: permanent("Insufficient permission", "5.0.0", 550),
    os.EX_CONFIG: permanent("Local configuration error", "5.3.5"),
}
"""What the exit codes of sysexits(3) mean for a recipient, in sendmail's words."""


@dataclass(frozen=True, slots=True)
class _Ended:
    status: Status
    output: bytes = b""


class ProgramMailer:
    """A `Mailer` whose next hop is a command.

    `default_user`: who runs those of aliases, or "" for the usual one. `timeout_seconds`: for one
    command and one message.
    """

    def __init__(
        self,
        users: Users,
        *,
        masquerade: Masquerade,
        timeout_seconds: float,
        default_user: str = "",
    ) -> None:
        self._users = users
        self._masquerade = masquerade
        self._default_user = default_user
        self._timeout_seconds = timeout_seconds

    async def deliver(
        self,
        consignments: AsyncIterator[Consignment],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        """See Mailer."""
        async for consignment in consignments:
            # A thread cannot be called off: what the program did must be recorded.
            await finish(self._deliver_all(consignment, report))

    async def _deliver_all(
        self,
        consignment: Consignment,
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        delivery = consignment.delivery
        for recipient, address in zip(delivery.recipients, consignment.addresses, strict=True):
            run_as = recipient.forward_path.run_as
            ended = await asyncio.to_thread(self._run, delivery, address, run_as)
            lines = tuple(ended.output.decode("utf-8", "replace").splitlines())
            await report([Attempt(delivery, recipient, ended.status, _RELAY, dialogue=lines)])

    def _run(self, delivery: Delivery, address: str, run_as: str) -> _Ended:
        try:
            user = deliverer(self._users, run_as, self._default_user)
            process = _start(address.removeprefix("|"), user, at_home=bool(run_as))
        except RefusedError as error:
            return _Ended(error.status)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return _Ended(temporary(f"{SHELL}: {error}", "4.3.0"))
        return _Conversation(process, self._timeout_seconds).run(self._pieces(delivery))

    def _pieces(self, delivery: Delivery) -> Iterator[bytes]:
        outgoing = compose(delivery, self._masquerade, mailer="prog")
        yield from_line(delivery).encode("utf-8", "surrogateescape") + b"\n"
        yield from stored(delivery, outgoing, return_path=False)


class _Conversation:
    """One process: fed, listened to and waited for at the same time, as it may stop reading, or
    print more than a pipe holds."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_seconds: float) -> None:
        self._process = process
        self._timeout_seconds = timeout_seconds
        self._output = bytearray()
        self._failure: StoreError | None = None

    def run(self, pieces: Iterator[bytes]) -> _Ended:
        feeder = threading.Thread(target=self._feed, args=(pieces,), daemon=True)
        listener = threading.Thread(target=self._listen, daemon=True)
        feeder.start()
        listener.start()
        try:
            code = self._process.wait(self._timeout_seconds)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
            text = f"prog mailer took longer than {self._timeout_seconds:g} seconds"
            return _Ended(temporary(text, "4.4.7"), self._heard(listener))
        feeder.join(LEFTOVER_SECONDS)
        if self._failure is not None:
            return _Ended(temporary(str(self._failure), "4.3.0"))
        return _Ended(_meaning(code), self._heard(listener))

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
                self._kill()  # before its input ends, or it would take the start for the whole

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while piece := os.read(pipe.fileno(), MAX_OUTPUT_BYTES):
                self._output += piece[: MAX_OUTPUT_BYTES - len(self._output)]

    def _heard(self, listener: threading.Thread) -> bytes:
        listener.join(LEFTOVER_SECONDS)
        return bytes(self._output)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _meaning(code: int) -> Status:
    if code == os.EX_OK:
        return ok("delivered to program")
    if code < 0:
        return temporary(f"mailer prog died with signal {-code}", "4.3.0")
    return _BY_EXIT_CODE.get(code) or permanent(f"unknown mailer error {code}", "5.3.0")


def _start(command: str, user: User, *, at_home: bool) -> subprocess.Popen[bytes]:
    """Start a command. Raises: OSError, ValueError, SubprocessError."""
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        assert user.uid is not None
        assert user.gid is not None
        groups = os.getgrouplist(user.name, user.gid)
        identity = {"user": user.uid, "group": user.gid, "extra_groups": groups}
    home = str(user.home) if at_home and user.home is not None and user.home.is_dir() else "/"
    return subprocess.Popen(
        [SHELL, "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        cwd=home,
        env=_environment(),
        umask=0o022,
        start_new_session=True,
        **identity,
    )


def _environment() -> dict[str, str]:
    """What sendmail gives: who calls, and where programs and the time zone are found."""
    environment = {"AGENT": "sendmail", "PATH": _PATH}
    if "TZ" in os.environ:
        environment["TZ"] = os.environ["TZ"]
    return environment
