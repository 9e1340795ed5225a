"""One command, run in a folder and an environment of its own, under a time limit.

    FOLDER/                 0700, deleted afterwards
        files/              where it runs: the files it needs, under the names it knows them by
        input               its standard input, if that is short

It gets nothing of our environment, no terminal, no open file but the three, and no shell.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaynode.errors import StoreError
from relaynode.queue.content import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from relaynode.mailers.users import User
    from relaynode.queue.content import Content, Draft
    from relaynode.uucico.commands import Command

MAX_COMPLAINT_BYTES = 4096
"""What is kept of standard error, for the letter."""

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""A command that prints more, for a neighbour that wants its output, is stopped."""

LEFTOVER_SECONDS = 1.0
"""How long we wait for the ends of its pipes: what it left running may hold them for ever."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. `code`: its exit code, a signal's being negative; None if it could not
    be started or was stopped by us, which `complaint` tells. `complaint`: its standard error."""

    code: int | None
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a command runs. `work`: the folder that gets its folder. `user`: as whom, if we are
    root. `machine`, `asker`: the neighbour and its user."""

    work: Path
    command_path: Sequence[str]
    machine: str
    asker: str
    timeout_seconds: float
    user: User | None = None

    def environment(self, home: Path) -> dict[str, str]:
        """All that the command sees of ours."""
        name = self.user.name if self.user is not None else "uucp"
        made = {
            "PATH": ":".join(self.command_path),
            "HOME": str(home),
            "SHELL": "/bin/sh",
            "USER": name,
            "LOGNAME": name,
            "TERM": "unknown",
            "UU_MACHINE": self.machine,
            "UU_USER": self.asker,
        }
        if "TZ" in os.environ:
            made["TZ"] = os.environ["TZ"]
        return made


def run(
    command: Command,
    surroundings: Surroundings,
    files: Mapping[str, Content],
    standard_input: Content | None,
    output: Draft | None,
) -> Ran:
    """Run it to its end. `files`: by the names it shall find them under; they are copies.

    Raises: StoreError when a file cannot be read or the disk is full.
    """
    try:
        surroundings.work.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=surroundings.work))
    except OSError as error:
        raise StoreError(f"{surroundings.work}: {error.strerror or error}") from error
    try:
        with ExitStack() as stack:
            feed = stack.enter_context(_prepare(folder, surroundings, files, standard_input))
            return _Running(command, surroundings, folder, output).run(feed)
    except OSError as error:
        return Ran(None, f"{command.program}: {error.strerror or error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(
    folder: Path,
    surroundings: Surroundings,
    files: Mapping[str, Content],
    standard_input: Content | None,
) -> BinaryIO:
    """The files in their place, and the standard input, open."""
    inner = folder / "files"
    inner.mkdir(mode=0o700)
    for name, content in files.items():
        if name in (".", "..") or "/" in name or "\0" in name:
            raise StoreError(f"{name!r} is no name of a file")
        _write(inner / name, content)
    _give_to(surroundings.user, [folder, inner, *inner.iterdir()])
    if standard_input is None:
        return open(os.devnull, "rb")
    if standard_input.path is not None:
        return standard_input.path.open("rb")
    _write(folder / "input", standard_input)
    return (folder / "input").open("rb")


def _write(path: Path, content: Content) -> None:
    with open(path, "xb", buffering=PIECE_BYTES) as file:
        for piece in content.pieces():
            file.write(piece)


def _give_to(user: User | None, paths: Sequence[Path]) -> None:
    if user is None or os.geteuid() != 0 or user.uid is None or user.gid is None:
        return
    for path in paths:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


class _Running:
    """One process: listened to and waited for at the same time."""

    def __init__(
        self, command: Command, surroundings: Surroundings, folder: Path, output: Draft | None
    ) -> None:
        self._command = command
        self._surroundings = surroundings
        self._folder = folder / "files"
        self._output = output
        self._complaint = bytearray()
        self._stopped = ""
        self._failure: StoreError | None = None

    def run(self, feed: BinaryIO) -> Ran:
        process = self._start(feed)
        listeners = [threading.Thread(target=self._listen, args=(process,), daemon=True)]
        if self._output is not None:
            listeners.append(threading.Thread(target=self._keep, args=(process,), daemon=True))
        for listener in listeners:
            listener.start()
        try:
            code = process.wait(self._surroundings.timeout_seconds)
        except subprocess.TimeoutExpired:
            seconds = self._surroundings.timeout_seconds
            self._stop(process, f"it took longer than {seconds:g} seconds")
            code = process.wait()
        for listener in listeners:
            listener.join(LEFTOVER_SECONDS)
        if self._output is not None and listeners[-1].is_alive():
            self._stop(process, "its standard output was left open")
            listeners[-1].join(LEFTOVER_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._stopped:
            return Ran(None, self._stopped)
        return Ran(code, self._complaint.decode("utf-8", "replace"))

    def _start(self, feed: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command.arguments,
            executable=self._command.program,
            stdin=feed,
            stdout=subprocess.DEVNULL if self._output is None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=self._folder,
            env=self._surroundings.environment(self._folder),
            umask=0o022,
            start_new_session=True,
            **_identity(self._surroundings.user),
        )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr as pipe:
            while piece := os.read(pipe.fileno(), MAX_COMPLAINT_BYTES):
                self._complaint += piece[: MAX_COMPLAINT_BYTES - len(self._complaint)]

    def _keep(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert self._output is not None
        with process.stdout as pipe:
            try:
                while piece := os.read(pipe.fileno(), PIECE_BYTES):
                    if self._output.size_bytes + len(piece) > MAX_OUTPUT_BYTES:
                        self._stop(process, f"it printed more than {MAX_OUTPUT_BYTES} bytes")
                        return
                    self._output.write(piece)
            except StoreError as error:
                self._failure = error
                self._stop(process, str(error))

    def _stop(self, process: subprocess.Popen[bytes], why: str) -> None:
        self._stopped = self._stopped or why
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _identity(user: User | None) -> dict[str, Any]:
    """As whom it runs. Raises: OSError if we are root and nobody is named."""
    if os.geteuid() != 0:
        return {}
    if user is None or not user.uid or user.gid is None:
        raise PermissionError(None, "commands are not run as root")
    groups = os.getgrouplist(user.name, user.gid)
    return {"user": user.uid, "group": user.gid, "extra_groups": groups}
