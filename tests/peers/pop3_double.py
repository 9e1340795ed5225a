"""A POP3 server for tests, which is well-behaved until it is told to do something odd.

Written from RFC 1939 and RFC 2449 alone, it knows nothing of relaynode's engines, and works on
anything with the methods of `wire.stream.Stream`. A session deletes at QUIT, as the RFC has it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.wire.stream import Stream

USER, PASSWORD = "ann", "secret"
TIMESTAMP = "<1896.697170952@pop.example>"
CLOSE = b"close the line"
"""An answer that is none."""


class _Over(Exception):
    pass


@dataclass
class Mailbox:
    """`messages`: unique-ids and contents, CRLF. `answers`: what a command, or "greeting", gets
    instead of the usual: bytes, or a function of the line that gives bytes, or None for the usual.
    `cut_after`: bytes that the next session may send, then the line breaks.

    `flights`: how often the client was waited for; `sent_bytes`, `sent_content_bytes` (answers to
    RETR): both of the last session. `content_bytes`: what RETR was asked for, of all.
    """

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    capabilities: tuple[str, ...] = ("TOP", "UIDL", "USER", "PIPELINING")
    password: str = PASSWORD
    has_apop: bool = False
    answers: dict[str, bytes | Callable[[str], bytes | None]] = field(default_factory=dict)
    cut_after: int | None = None
    sessions: int = 0
    said: list[str] = field(default_factory=list)
    flights: int = 0
    sent_bytes: int = 0
    content_bytes: int = 0
    sent_content_bytes: int = 0

    def put(self, uid: str, content: bytes) -> None:
        """One more message."""
        self.messages.append((uid, content))

    async def serve(self, stream: Stream) -> None:
        """One session, to its end."""
        self.sessions += 1
        self.said, self.flights, self.sent_bytes, self.sent_content_bytes = [], 0, 0, 0
        session = _Session(self, stream)
        try:
            await session.run()
        except (_Over, WireError):
            pass
        finally:
            await stream.close()


@dataclass
class _Session:
    box: Mailbox
    stream: Stream
    deleted: set[int] = field(default_factory=set)
    has_user: bool = False
    is_challenging: bool = False
    _left: int | None = None

    async def run(self) -> None:
        box = self.box
        self._left, box.cut_after = box.cut_after, None
        stamp = f" {TIMESTAMP}" if box.has_apop else ""
        await self._answer("greeting", "greeting", f"+OK ready{stamp}\r\n".encode())
        waiting = b""
        while True:
            data = await self.stream.read(60)
            if not data:
                return
            box.flights += 1
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                text = line.rstrip(b"\r").decode("latin-1")
                box.said.append(text)
                word = text.split()[0].upper() if text.split() else ""
                await self._answer(word, text, self._usual(word, text))
                if word == "QUIT":
                    return

    async def _answer(self, word: str, text: str, usual: bytes) -> None:
        odd = self.box.answers.get(word)
        answer = odd(text) if callable(odd) else odd
        if answer == CLOSE:
            raise _Over
        said = usual if answer is None else answer
        self.has_user = said.startswith(b"+OK") if word == "USER" else self.has_user
        before = self.box.sent_bytes
        try:
            await self._write(said)
        finally:
            if word == "RETR":
                self.box.sent_content_bytes += self.box.sent_bytes - before

    async def _write(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self.box.sent_bytes += len(data)
        await self.stream.write(data)
        if self._left == 0:
            self.stream.abort()
            raise _Over

    def _usual(self, word: str, text: str) -> bytes:
        if self.is_challenging:
            return self._response(text)
        arguments = text.split()[1:]
        method = getattr(self, f"_{word.lower()}", None)
        if method is None:
            return b"-ERR what\r\n"
        return method(*arguments)

    def _capa(self) -> bytes:
        lines = "".join(f"{one}\r\n" for one in self.box.capabilities)
        return f"+OK\r\n{lines}.\r\n".encode()

    def _user(self, name: str = "") -> bytes:
        return b"+OK\r\n"

    def _pass(self, word: str = "") -> bytes:
        if not self.has_user:
            return b"-ERR whose?\r\n"
        return b"+OK\r\n" if word == self.box.password else b"-ERR [AUTH] wrong\r\n"

    def _auth(self, mechanism: str) -> bytes:
        self.is_challenging = True
        return b"+ " + base64.b64encode(TIMESTAMP.encode()) + b"\r\n"

    def _response(self, text: str) -> bytes:
        self.is_challenging = False
        digest = hmac.new(self.box.password.encode(), TIMESTAMP.encode(), "md5").hexdigest()
        is_right = base64.b64decode(text) == f"{USER} {digest}".encode()
        return b"+OK\r\n" if is_right else b"-ERR [AUTH] wrong\r\n"

    def _apop(self, name: str, digest: str) -> bytes:
        secret = (TIMESTAMP + self.box.password).encode()
        if not self.box.has_apop or digest != hashlib.md5(secret).hexdigest():
            return b"-ERR [AUTH] wrong\r\n"
        return b"+OK\r\n"

    def _each(self) -> list[tuple[int, str, bytes]]:
        return [
            (number, uid, content)
            for number, (uid, content) in enumerate(self.box.messages, 1)
            if number not in self.deleted
        ]

    def _stat(self) -> bytes:
        each = self._each()
        return b"+OK %d %d\r\n" % (len(each), sum(len(content) for _, _, content in each))

    def _listing(self, lines: dict[int, str], number: str) -> bytes:
        if number:
            line = lines.get(int(number))
            return b"-ERR none\r\n" if line is None else f"+OK {number} {line}\r\n".encode()
        body = "".join(f"{one} {line}\r\n" for one, line in lines.items())
        return f"+OK\r\n{body}.\r\n".encode("latin-1")

    def _uidl(self, number: str = "") -> bytes:
        return self._listing({one: uid for one, uid, _ in self._each()}, number)

    def _list(self, number: str = "") -> bytes:
        return self._listing({one: str(len(content)) for one, _, content in self._each()}, number)

    def _retr(self, number: str) -> bytes:
        found = {one: content for one, _, content in self._each()}
        if int(number) not in found:
            return b"-ERR no such message\r\n"
        content = found[int(number)]
        self.box.content_bytes += len(content)
        return b"+OK\r\n" + stuffed(content) + b".\r\n"

    def _top(self, number: str, lines: str) -> bytes:
        found = {one: content for one, _, content in self._each()}
        header = found[int(number)].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        return b"+OK\r\n" + stuffed(header) + b".\r\n"

    def _dele(self, number: str) -> bytes:
        self.deleted.add(int(number))
        return b"+OK\r\n"

    def _noop(self) -> bytes:
        return b"+OK\r\n"

    def _quit(self) -> bytes:
        self.box.messages = [(uid, content) for _, uid, content in self._each()]
        self.deleted = set()
        return b"+OK bye\r\n"


def stuffed(content: bytes) -> bytes:
    """Dots doubled at the start of lines (RFC 1939 section 3), the last line ended."""
    text = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    return (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:]
