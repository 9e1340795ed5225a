"""Where a password comes from when a session needs it.

Files are read with the configuration (config/secrets.py), so that `check` names what is wrong with
them; the others are asked each time, since what holds them may be locked, or may change.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from relaynode.config.secrets import MAX_PASSWORD_BYTES
from relaynode.logins.login import no_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.config.values import Command, Password

COMMAND_SECONDS = 60.0
"""A password manager may have to ask its user; a line that is up costs money meanwhile."""

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""systemd.exec(5): where LoadCredential= and SetCredential= put files."""


class Secret(Protocol):
    """A source of one secret."""

    async def get(self) -> str:
        """The secret as it is now. Raises: NoSecret."""
        ...


@dataclass(frozen=True, slots=True)
class OfFile:
    """One that was read with the configuration."""

    password: Password

    async def get(self) -> str:
        """See Secret."""
        return self.password.reveal()


@dataclass(frozen=True, slots=True)
class OfCommand:
    """The first line that a program prints. No shell runs it, and its errors are not repeated:
    they may quote the secret. `key`: of the configuration, for errors."""

    command: Command
    key: str
    timeout_seconds: float = COMMAND_SECONDS

    async def get(self) -> str:
        """See Secret."""
        what = f"{self.key} {self.command}"
        try:
            program = await asyncio.create_subprocess_exec(
                *self.command.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                limit=MAX_PASSWORD_BYTES,
            )
        except OSError as error:
            raise no_secret(what, f"cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(self.timeout_seconds):
                line = await _first_line(program)
                code = await program.wait()
        except TimeoutError:
            raise no_secret(what, f"took more than {self.timeout_seconds:g} s") from None
        finally:
            await _end(program)
        if code != 0:
            how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
            raise no_secret(what, how)
        return _checked(line, what)


async def _first_line(program: asyncio.subprocess.Process) -> bytes:
    """Its first line; what it prints behind that is read, so that it can end, and forgotten."""
    assert program.stdout is not None
    kept = b""
    while piece := await program.stdout.read(MAX_PASSWORD_BYTES):
        if b"\n" not in kept and len(kept) <= MAX_PASSWORD_BYTES:
            kept += piece
    return kept.partition(b"\n")[0]


async def _end(program: asyncio.subprocess.Process) -> None:
    """Leave nothing of it running: it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    if program.returncode is None:
        await program.wait()


@dataclass(frozen=True, slots=True)
class OfCredential:
    """A file that systemd has put up for this service; who may read it is systemd's affair."""

    name: str
    environ: Mapping[str, str]

    async def get(self) -> str:
        """See Secret."""
        what = f"password_credential {self.name}"
        folder = self.environ.get(CREDENTIALS_DIRECTORY)
        if not folder:
            raise no_secret(what, "systemd gave no credentials: LoadCredential= in the unit does")
        try:
            with (Path(folder) / self.name).open("rb") as file:
                data = file.read(MAX_PASSWORD_BYTES + 1)
        except OSError as error:
            raise no_secret(what, f"{error.strerror}: LoadCredential={self.name}:...") from None
        return _checked(data.partition(b"\n")[0], what)


@dataclass(frozen=True, slots=True)
class OfKeyring:
    """The desktop's keyring, asked through the library keyring (an extra)."""

    service: str
    user: str

    async def get(self) -> str:
        """See Secret."""
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await asyncio.to_thread(self._get)
        except TimeoutError:
            raise no_secret(f"password_keyring {self.service}", "the keyring is silent") from None

    def _get(self) -> str:
        what = f"password_keyring {self.service}"
        try:
            import keyring
        except ImportError:
            remedy = "the library is missing: pip install relaynode[keyring]"
            raise no_secret(what, remedy) from None
        try:
            found = keyring.get_password(self.service, self.user)
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            raise no_secret(what, f"the keyring fails: {type(error).__name__}") from None
        if found is None:
            remedy = f"say: keyring set {self.service} {self.user}"
            raise no_secret(what, f"the keyring has nothing for {self.user}; {remedy}")
        return _checked(str(found).encode(), what)


def _checked(line: bytes, what: str) -> str:
    line = line.removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise no_secret(what, "gives no UTF-8") from None
    if not text or "\0" in text or len(line) > MAX_PASSWORD_BYTES:
        raise no_secret(what, "gives no password in its first line")
    return text
