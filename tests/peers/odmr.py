"""An ODMR server (RFC 2645) for tests, which can fail once at any step.

Our own double: Debian has no free server that speaks ATRN. It is written from the RFC alone, knows
nothing of relaynode's engines, and works on anything with the methods of `wire.stream.Stream`. When
the roles have turned it sends mail as a plain SMTP client does, one command at a time; what was
accepted is off its queue, all else is there at the next visit.

Steps, for `fails`:

    greeting EHLO AUTH ATRN             what the server answers
    hello MAIL RCPT DATA content final  where it is the client: before the command; `final`: when
    QUIT                                it has read the answer to the content
    end                                 it has said QUIT and should hear 221
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relaynode.wire.stream import Stream

USER, PASSWORD = "ann", "secret"
_CHALLENGE = b"<1896.697170952@odmr.example>"


class Stop(Exception):
    """The session has ended, or the double was told to end it."""


@dataclass
class Mail:
    """A message that waits. `content`: CRLF, dots as they are."""

    content: bytes
    sender: str = "joe@far.example"
    recipients: tuple[str, ...] = ("user@home.example",)


@dataclass
class OdmrServer:
    """`waiting`: the mail for the domains of USER. `fails`: at a step, at its first time or at the
    `nth`, in a way: "lose" (the line), "close", "hang", or bytes that are said there instead."""

    waiting: list[Mail] = field(default_factory=list)
    domains: frozenset[str] = frozenset({"home.example"})
    mechanisms: str = "CRAM-MD5 PLAIN"
    step: str = ""
    nth: int = 1
    way: str | bytes = ""
    adds_trace: bool = True
    refused: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    is_over: bool = False
    _stream: Stream | None = None
    _buffer: bytes = b""
    _steps: list[str] = field(default_factory=list)

    async def serve(self, stream: Stream) -> None:
        """One connection."""
        self._stream, self._buffer, self._steps, self.is_over = stream, b"", [], False
        try:
            await self._as_server()
            await self._as_client()
        except Stop:
            pass
        finally:
            self.is_over = True
            await stream.close()

    # --- until ATRN

    async def _as_server(self) -> None:
        await self._answer("greeting", "220 odmr.example ready")
        is_known = False
        while True:
            line = await self._line()
            self.commands.append(line)
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    text = f"250-odmr.example\r\n250-AUTH {self.mechanisms}\r\n250 ATRN"
                    await self._answer("EHLO", text)
                case "AUTH":
                    is_known = await self._auth(rest)
                case "ATRN":
                    if await self._atrn(rest, is_known=is_known):
                        return
                case "QUIT":
                    await self._say("221 bye")
                    raise Stop
                case _:
                    await self._say("502 no such command")

    async def _auth(self, rest: str) -> bool:
        mechanism, _, initial = rest.partition(" ")
        if mechanism == "CRAM-MD5":
            await self._say("334 " + base64.b64encode(_CHALLENGE).decode())
            digest = hmac.new(PASSWORD.encode(), _CHALLENGE, "md5").hexdigest()
            is_right = base64.b64decode(await self._line()) == f"{USER} {digest}".encode()
        else:
            is_right = base64.b64decode(initial) == f"\0{USER}\0{PASSWORD}".encode()
        await self._answer("AUTH", "235 welcome" if is_right else "535 5.7.8 no")
        return is_right

    async def _atrn(self, rest: str, *, is_known: bool) -> bool:
        """RFC 2645 5.2.1"""
        wanted = set(rest.split(",")) - {""}
        if not is_known:
            reply = "530 Authentication required"
        elif not wanted <= self.domains:
            reply = "450 ATRN request refused"
        elif not self.waiting:
            reply = "453 You have no mail"
        else:
            reply = "250 OK now reversing the connection"
        await self._answer("ATRN", reply)
        return reply.startswith("250") and self._steps[-1] == "ATRN"

    # --- the roles have turned

    async def _as_client(self) -> None:
        await self._expect("220")
        await self._command("hello", "EHLO odmr.example", "250")
        while self.waiting:
            await self._send(self.waiting[0])
            self.waiting.pop(0)
        await self._at("QUIT")
        await self._say("QUIT")
        await self._at("end")
        await self._expect("221")

    async def _send(self, mail: Mail) -> None:
        await self._command("MAIL", f"MAIL FROM:<{mail.sender}>", "250")
        for path in mail.recipients:
            if not await self._command("RCPT", f"RCPT TO:<{path}>", ""):
                self.refused.append(path)
        if set(mail.recipients) <= set(self.refused):
            await self._command("RSET", "RSET", "250")
            return
        await self._command("DATA", "DATA", "354")
        content = mail.content.replace(b"\r\n.", b"\r\n..")
        if self.adds_trace:
            content = b"Received: by odmr.example id %d; then\r\n" % id(mail) + content
        half = len(content) // 2
        await self._write(content[:half])
        await self._at("content")
        await self._write(content[half:] + b".\r\n")
        await self._at("final")
        await self._expect("2")

    async def _command(self, step: str, line: str, expected: str) -> bool:
        await self._at(step)
        await self._say(line)
        reply = await self._expect(expected)
        return reply.startswith("2")

    async def _expect(self, code: str) -> str:
        while True:
            line = await self._line()
            if line[3:4] != "-":
                break
        self.replies.append(line)
        if not line.startswith(code):
            raise Stop
        return line

    # --- bytes

    async def _at(self, step: str) -> bool:
        """Fail here, if it is here."""
        self._steps.append(step)
        if (step, self._steps.count(step)) != (self.step, self.nth):
            return False
        assert self._stream is not None
        self.step = ""  # once
        if isinstance(self.way, bytes):
            await self._write(self.way)
            return True
        if self.way == "lose":
            self._stream.abort()
        elif self.way == "hang":
            while await self._stream.read():
                pass
        raise Stop

    async def _answer(self, step: str, reply: str) -> None:
        if not await self._at(step):
            await self._say(reply)

    async def _say(self, line: str) -> None:
        await self._write(line.encode() + b"\r\n")

    async def _write(self, data: bytes) -> None:
        assert self._stream is not None
        try:
            await self._stream.write(data)
        except Exception as error:
            raise Stop from error

    async def _line(self) -> str:
        assert self._stream is not None
        while b"\r\n" not in self._buffer:
            try:
                data = await self._stream.read()
            except Exception as error:
                raise Stop from error
            if not data:
                raise Stop
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("utf-8", "replace")
