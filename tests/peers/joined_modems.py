"""A telephone line between two ptys: a modem that is told to dial, and a program that is called.

`numbers` says what dialling a number leads to, one after the other: "BUSY", "NO CARRIER", or
"CONNECT ..." and a call. For a call the program `called` is started on a pty of its own, and what
either says goes to the other, until one of them has gone or the modem hears +++ and ATH.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import threading
import tty
from typing import TYPE_CHECKING

from peers.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

_READ_BYTES = 4096
_GUARD_SECONDS = 0.1
"""So long nothing may follow +++ if it is meant for the modem."""

_END_SECONDS = 20
_MAX_OUTGOING_BYTES = 16 * 1024


class JoinedModems:
    """In use: `with JoinedModems(...) as modems: ... modems.device ...`.

    `user`: who may open the device. `on_call`: called when a call has come about. `as_user`: whom
    the called program runs as, for subprocess.
    """

    def __init__(
        self,
        numbers: dict[str, list[str]],
        called: Sequence[str | Path],
        *,
        user: str | None = None,
        as_user: Mapping[str, Any] | None = None,
        on_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._numbers = numbers
        self._called = called
        self._user = user
        self._as_user = as_user or {}
        self._on_call = on_call
        self._programs: list[subprocess.Popen[bytes]] = []
        self._far: int | None = None  # the master side of the called program's pty
        self._outgoing: dict[int, bytearray] = {}
        self.heard: list[str] = []  # commands, in order

    def __enter__(self) -> JoinedModems:
        self._near, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        if self._user is not None:
            shutil.chown(self.device, self._user)
        os.set_blocking(self._near, False)
        self._outgoing[self._near] = bytearray()
        self._slave = slave  # open, so that the modem stays when nobody has opened it
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop, b"\0")
        self._thread.join(_END_SECONDS)
        self._hang_up()
        for one in self._programs:
            one.kill()
            one.wait()
        for descriptor in (self._near, self._slave, self._wake, self._stop):
            os.close(descriptor)

    def wait(self) -> None:
        """Until the called programs have ended."""
        has_ended = lambda: all(one.poll() is not None for one in self._programs)  # noqa: E731
        assert wait_until(has_ended, _END_SECONDS), "a called program does not end"

    def _run(self) -> None:
        commands = b""
        while True:
            readers = [self._wake, *(one for one in self._outgoing if self._takes_from(one))]
            writers = [one for one, data in self._outgoing.items() if data]
            ready, free, _ = select.select(readers, writers, [])
            if self._wake in ready:
                return
            for descriptor in free:
                self._write(descriptor)
            if self._far in ready:
                self._from_far()
            if self._near in ready:
                data = os.read(self._near, _READ_BYTES)
                if self._far is not None:
                    self._to_far(data)
                    continue
                *lines, commands = (commands + data).split(b"\r")
                for line in lines:
                    self._command(line[max(line.rfind(b"AT"), 0) :].decode(errors="replace"))

    def _takes_from(self, descriptor: int) -> bool:
        """Is there room for what it says, on the other side?"""
        other = self._near if descriptor == self._far else self._far
        return other is None or len(self._outgoing[other]) < _MAX_OUTGOING_BYTES

    def _write(self, descriptor: int) -> None:
        data = self._outgoing[descriptor]
        try:
            del data[: os.write(descriptor, data[:_READ_BYTES])]
        except BlockingIOError:
            pass
        except OSError:  # nobody is there any more
            data.clear()

    # --- commands

    def _command(self, command: str) -> None:
        self.heard.append(command)
        if command.startswith("ATDT"):
            ways = self._numbers.get(command[4:])
            answer = ways.pop(0) if ways else "NO CARRIER"
        else:
            answer = "OK" if command.startswith("AT") else "ERROR"
        if command.startswith("ATH"):
            self._hang_up()
        self._say(answer)
        if answer.startswith("CONNECT"):
            self._connect()

    def _say(self, text: str) -> None:
        self._outgoing[self._near] += f"\r\n{text}\r\n".encode()

    # --- a call

    def _connect(self) -> None:
        self._far, slave = os.openpty()
        tty.setraw(slave)
        if "user" in self._as_user:
            shutil.chown(os.ttyname(slave), self._as_user["user"])
        self._programs.append(
            subprocess.Popen(
                self._called,
                stdin=slave,
                stdout=slave,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                **self._as_user,
            )
        )
        os.close(slave)
        os.set_blocking(self._far, False)
        self._outgoing[self._far] = bytearray()
        self._on_call()

    def _from_far(self) -> None:
        assert self._far is not None
        try:
            data = os.read(self._far, _READ_BYTES)
        except OSError:  # nobody is there any more
            self._hang_up()
            self._say("NO CARRIER")
            return
        self._outgoing[self._near] += data

    def _to_far(self, data: bytes) -> None:
        assert self._far is not None
        if data.endswith(b"+++") and not select.select([self._near], [], [], _GUARD_SECONDS)[0]:
            self.heard.append("+++")
            self._say("OK")
            self._hang_up()
            return
        self._outgoing[self._far] += data

    def _hang_up(self) -> None:
        if self._far is not None:
            with contextlib.suppress(OSError):
                os.write(self._far, self._outgoing.pop(self._far))
            os.close(self._far)
            self._far = None
