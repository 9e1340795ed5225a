"""The part of a node that keeps root's rights: it starts others as users, and does nothing else.

A node that is to run as a user of its own forks. The child gives up root's rights and does all the
work: network, queue, tables. The parent, here, waits for its requests (`monitor_words.py`), forks
for each a process that looks whether it may be (`monitor_acts.py`), becomes the user and does it,
and hands back how that ended. It reads no mail, and ends when its child does, with its exit code.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.mailers.monitor_words import DESCRIPTORS, MAX_REQUEST_BYTES, Tell, decode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from relaynode.mailers.monitor_words import Request

MAX_SESSIONS = 200
"""Processes at a time; more are refused, and what they were for is tried again."""

HANDED_ON = (signal.SIGTERM, signal.SIGHUP)
"""What the node is told is for the child. SIGINT of a terminal reaches the child by itself."""


@dataclass(slots=True)
class Monitor:
    """Serves the node that runs as process `node`, over `connection`.

    `act`: does what a request asks for, in a process of its own; its exit code. `tell`: is told
    what the node has to say to systemd. `reload`: the configuration may have changed.
    """

    node: int
    connection: socket.socket
    act: Callable[[Request], int]
    tell: Callable[[str], None]
    reload: Callable[[], None]
    _sessions: dict[int, socket.socket] = field(default_factory=dict)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _ended: int | None = None

    def run(self) -> int:
        """Serve until the node ends; its exit code."""
        wake, woken = socket.socketpair()
        with wake, woken, self.connection:
            return self._run(wake, woken)

    def _run(self, wake: socket.socket, woken: socket.socket) -> int:
        for end in (wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, _noted)
        for number in HANDED_ON:
            signal.signal(number, self._hand_on)
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._selector.register(self.connection, selectors.EVENT_READ, None)
        self._reap()  # what ended before its signal was ours
        while self._ended is None:
            for key, _ in self._selector.select():
                if key.fileobj is woken:
                    with contextlib.suppress(BlockingIOError):
                        woken.recv(4096)
                elif key.fileobj is self.connection:
                    self._take()
                else:
                    self._call_off(key.data)
            self._reap()
        for pid in list(self._sessions):
            self._call_off(pid)
        signal.set_wakeup_fd(-1)
        return self._ended

    def _hand_on(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.node, number)

    # --- requests

    def _take(self) -> None:
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self.connection, MAX_REQUEST_BYTES, DESCRIPTORS
            )
        except OSError:
            data, descriptors, flags = b"", [], 0
        try:
            if not data:  # the node is about to end
                self._selector.unregister(self.connection)
            elif not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                self._begin(data, descriptors)
        finally:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def _begin(self, data: bytes, descriptors: list[int]) -> None:
        try:
            request = decode(data)
        except ValueError:
            return
        if isinstance(request, Tell):
            self.tell(request.state.decode("ascii", "replace"))
            return
        if len(descriptors) != DESCRIPTORS or len(self._sessions) >= MAX_SESSIONS:
            return
        pid = os.fork()
        if pid == 0:
            self._be_session(request, descriptors[1:])
        control = socket.socket(fileno=os.dup(descriptors[0]))
        control.setblocking(False)
        self._sessions[pid] = control
        self._selector.register(control, selectors.EVENT_READ, pid)

    def _be_session(self, request: Request, descriptors: list[int]) -> None:
        """In the new process; never returns."""
        code = os.EX_TEMPFAIL
        try:
            os.setsid()
            back_to_normal()
            source, sink = descriptors
            os.dup2(source, 0)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            code = self.act(request)
        except BaseException as error:  # noqa: BLE001 - whatever it is, this process ends here
            with contextlib.suppress(OSError):
                os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
        finally:
            os._exit(code)

    # --- ends

    def _call_off(self, pid: int) -> None:
        """The asking side has hung up: nobody wants to know any more."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(self._sessions[pid])
        for kill in (os.killpg, os.kill):  # it may not have got as far as to lead a group
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                code = os.waitstatus_to_exitcode(status)
                if pid == self.node:
                    self._ended = code if code >= 0 else 128 - code
                elif pid in self._sessions:
                    self._report(pid, code)

    def _report(self, pid: int, code: int) -> None:
        control = self._sessions.pop(pid)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(control)
        with control, contextlib.suppress(OSError):
            control.send(b"%d" % code)


def back_to_normal() -> None:
    """Signals as a new program expects them."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, *HANDED_ON):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _noted(_: int, __: FrameType | None) -> None:
    """The wake-up descriptor tells the loop."""
