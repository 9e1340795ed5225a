"""A modem on the master side of a pty, as far as programs see one: commands, answers, a line.

`numbers` says what dialling a number leads to, one after the other: "CONNECT 2400", "BUSY",
"NO CARRIER", or "" for silence. What is said after CONNECT is echoed back, with `online_prefix`
before the first of it, until `+++` brings the modem back to its commands.
"""

from __future__ import annotations

import os
import select
import threading
import tty

_STOP = b"\0"


class ScriptedModem:
    """In use: `with ScriptedModem({...}) as modem: ... modem.device ...`."""

    def __init__(self, numbers: dict[str, list[str]], *, online_prefix: bytes = b"") -> None:
        self._numbers = numbers
        self._prefix = online_prefix
        self.heard: list[str] = []  # commands, in order
        self.data = b""  # what was said over the line

    def __enter__(self) -> ScriptedModem:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        self._slave = slave  # open, so that the master is not hung up in between
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop, _STOP)
        self._thread.join(5)
        for descriptor in (self._master, self._slave, self._wake, self._stop):
            os.close(descriptor)

    def _run(self) -> None:
        pending, is_online = b"", False
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            pending += os.read(self._master, 4096)
            if is_online:
                before, plus, rest = pending.partition(b"+++")
                self.data += before
                os.write(self._master, before)
                pending = rest
                if plus:
                    is_online = False
                    self.heard.append("+++")
                    self._say("OK")
                continue
            while b"\r" in pending:
                line, _, pending = pending.partition(b"\r")
                command = line[max(line.rfind(b"AT"), 0) :].strip(b"\n").decode()
                self.heard.append(command)
                answer = self._answer(command)
                if answer:
                    self._say(answer)
                is_online = is_online or answer.startswith("CONNECT")
                if is_online:
                    os.write(self._master, self._prefix)

    def _answer(self, command: str) -> str:
        if command.startswith("ATDT"):
            ways = self._numbers.get(command[4:])
            return ways.pop(0) if ways else "NO CARRIER"
        return "OK" if command.startswith("AT") else "ERROR"

    def _say(self, text: str) -> None:
        os.write(self._master, f"\r\n{text}\r\n".encode())
