"""Logins checked by Dovecot, over the socket that it has for other servers (auth-client).

Lines of words parted by tabs, ended by LF; what could be mistaken is base64:

    us   VERSION 1 1 / CPID number
    it   VERSION 1 2 / MECH PLAIN plaintext / ... / SPID .. / CUID .. / COOKIE .. / DONE
    us   AUTH id mechanism service=smtp secured rip=192.0.2.1 resp=...
    it   CONT id challenge    us   CONT id response
    it   OK id user=alice resp=...       FAIL id user=alice temp reason=...

Mechanisms pass through untouched, whatever they are. Each login has a connection of its own, so
nothing of one can be taken for another's.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING

from relaynode.accounts.answers import Denied, Later, More, Passed
from relaynode.errors import RemoteProtocolError, WireError
from relaynode.wire import unix

if TYPE_CHECKING:
    from pathlib import Path

    from relaynode.accounts.answers import Answer, Visitor

ANSWER_SECONDS = 60.0
"""How long it may think: it lets failures wait for some seconds itself."""

HELLO_SECONDS = 5.0
"""How long it may take to say what it can do: a client's greeting waits for it."""

MAX_LINE_BYTES = 16 * 1024

OFFERABLE = frozenset({"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "DIGEST-MD5"})
"""Mechanisms that need nothing of the line but that their words are carried."""

_ORDER = ("SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5", "PLAIN", "LOGIN")

log = logging.getLogger("relaynode")

_AWAY = Later("logins cannot be checked now; try again later")


class DovecotChecker:
    """A `Checker`. `path`: the socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[str, ...] = ("PLAIN", "LOGIN")
        self._stamp: object = None

    async def mechanisms(self) -> tuple[str, ...]:
        """See Checker. Asked once for as long as the socket is the same: Dovecot makes it anew when
        it starts. While it does not answer, what it said last counts."""
        stamp = self._current_stamp()
        if stamp is not None and stamp != self._stamp:
            try:
                line = await self.connect()
                await line.close()
                self._known = tuple(name for name in _ORDER if name in line.mechanisms)
                self._stamp = stamp
            except (WireError, RemoteProtocolError) as error:
                log.error("dovecot's auth socket: %s", error)
        return self._known

    def open(self, mechanism: str, visitor: Visitor) -> _Passing:
        """See Checker."""
        return _Passing(self, mechanism, visitor)

    async def connect(self) -> _Line:
        """A connection that both sides have introduced themselves on.

        Raises: WireError, RemoteProtocolError.
        """
        line = _Line(await unix.connect(self._path, timeout=HELLO_SECONDS))
        try:
            await line.introduce()
        except BaseException:
            await line.close()
            raise
        return line

    def _current_stamp(self) -> object:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns


class _Line:
    """One connection. `mechanisms`: what it has named, of those that we can carry."""

    def __init__(self, stream: unix.UnixStream) -> None:
        self._stream = stream
        self._buffer = b""
        self.mechanisms: set[str] = set()

    async def introduce(self) -> None:
        # The number must be another one for each connection; a process's own would not be.
        await self.say("VERSION", "1", "1")
        await self.say("CPID", str(secrets.randbelow(2**31 - 1) + 1))
        while True:
            word, *rest = await self.hear(HELLO_SECONDS)
            if word == "VERSION" and rest[:1] != ["1"]:
                raise RemoteProtocolError(f"speaks version {rest[:1]} of its protocol")
            if word == "MECH" and rest and "private" not in rest[1:]:
                self.mechanisms.update(OFFERABLE & {rest[0]})
            if word == "DONE":
                return

    async def say(self, *words: str) -> None:
        await self._stream.write(("\t".join(words) + "\n").encode(), HELLO_SECONDS)

    async def hear(self, seconds: float = ANSWER_SECONDS) -> list[str]:
        """The words of the next line."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise RemoteProtocolError("a line without end")
            data = await self._stream.read(seconds)
            if not data:
                raise WireError("closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "replace").split("\t")

    async def close(self) -> None:
        await self._stream.close()

    def abort(self) -> None:
        self._stream.abort()


class _Passing:
    """A `Conversation`: what the client says goes on, what comes back is read."""

    def __init__(self, checker: DovecotChecker, mechanism: str, visitor: Visitor) -> None:
        self._checker = checker
        self._mechanism = mechanism
        self._visitor = visitor
        self._line: _Line | None = None
        self._passed: Passed | None = None

    async def step(self, response: bytes | None) -> Answer:
        """See Conversation."""
        if self._passed is not None:  # the response to what came along with the success
            return self._passed
        try:
            if self._line is None:
                self._line = await self._checker.connect()
                await self._line.say(*self._request(response))
            else:
                await self._line.say("CONT", "1", _base64(response or b""))
            return self._read(await self._line.hear())
        except (WireError, RemoteProtocolError, binascii.Error) as error:
            log.error("dovecot's auth socket: %s", error)
            return _AWAY

    def _request(self, response: bytes | None) -> list[str]:
        visitor = self._visitor
        words = ["AUTH", "1", self._mechanism, f"service={visitor.service}", "nologin"]
        words += ["secured"] if visitor.is_private else []
        words += [f"rip={visitor.address}"] if visitor.address else []
        return words + ([] if response is None else [f"resp={_base64(response)}"])

    def _read(self, words: list[str]) -> Answer:
        word, rest = words[0], words[2:]
        values = dict(one.partition("=")[::2] for one in rest)
        if word == "CONT":
            return More(base64.b64decode(rest[0] if rest else "", validate=True))
        if word == "OK":
            self._passed = Passed(_unescaped(values.get("user", "")))
            if not self._passed.user:
                raise RemoteProtocolError("names nobody")
            return (
                More(base64.b64decode(values["resp"], validate=True))
                if "resp" in values
                else self._passed
            )
        if word == "FAIL":
            return _AWAY if "temp" in values else Denied()
        raise RemoteProtocolError(f"says {word[:40]!r}")

    def close(self) -> None:
        """See Conversation."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.abort()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unescaped(text: str) -> str:
    """Dovecot writes NUL, 1, tab, CR and LF with a 1 before them."""
    for letter, meant in (("t", "\t"), ("r", "\r"), ("n", "\n")):
        text = text.replace(f"\1{letter}", meant)
    return text
