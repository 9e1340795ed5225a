"""A small SMTP server that keeps what it is sent to the byte, and offers what a test says.

Not a real peer: it shows what a real peer, or a relaynode, sends to a server that cannot do what
all of today's can.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from dataclasses import dataclass
from typing import Self

_OFFERED_AS = {b"BODY": b"8BITMIME", b"RET": b"DSN", b"ENVID": b"DSN"}


@dataclass(frozen=True)
class Taken:
    """One transaction: its commands as they came, and the content, dots undone."""

    mail: bytes
    rcpts: tuple[bytes, ...]
    content: bytes


class PlainServer:
    """Runs inside a `with` block. `offers`: the keywords of its answer to EHLO.

    `most_recipients`: further ones of a transaction get 452 4.5.3; 0: any number.
    """

    def __init__(self, *offers: str, most_recipients: int = 0) -> None:
        self.taken: list[Taken] = []
        self.sessions = 0
        self.most_recipients = most_recipients
        self.offers = offers
        self._server = _Server(("127.0.0.1", 0), self)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], kept: PlainServer) -> None:
        self.kept = kept
        super().__init__(address, _Session)


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.kept.sessions += 1
        with contextlib.suppress(OSError):
            self._talk()

    def _talk(self) -> None:
        self._say("220 plain.test ESMTP")
        self._reset()
        while line := self.rfile.readline():
            verb = line[:4].upper().rstrip()
            answer = getattr(self, f"_{verb.decode('ascii', 'replace').lower()}", None)
            if answer is None:
                self._say("500 5.5.1 What?")
            else:
                answer(line.rstrip(b"\r\n"))
            if verb == b"QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _reset(self) -> None:
        self._from, self._rcpts = b"", list[bytes]()

    def _ehlo(self, _: bytes) -> None:
        lines = ["plain.test", *self.server.kept.offers]
        for number, text in enumerate(lines, 1):
            self._say(f"250{' ' if number == len(lines) else '-'}{text}")

    def _helo(self, _: bytes) -> None:
        self._say("250 plain.test")

    def _rset(self, _: bytes) -> None:
        self._reset()
        self._say("250 2.0.0 Ok")

    def _noop(self, _: bytes) -> None:
        self._say("250 2.0.0 Ok")

    def _quit(self, _: bytes) -> None:
        self._say("221 2.0.0 Bye")

    def _mail(self, line: bytes) -> None:
        offered = {one.split()[0].encode() for one in self.server.kept.offers}
        for word in line.upper().partition(b">")[2].split():
            keyword = word.partition(b"=")[0]
            if _OFFERED_AS.get(keyword, keyword) not in offered:
                self._say(f"555 5.5.4 Unsupported option: {word.decode()}")
                return
        self._from = line
        self._say("250 2.1.0 Ok")

    def _rcpt(self, line: bytes) -> None:
        if 0 < self.server.kept.most_recipients <= len(self._rcpts):
            self._say("452 4.5.3 Error: too many recipients")
            return
        if not self._from:
            self._say("503 5.5.1 MAIL first")
            return
        self._rcpts.append(line)
        self._say("250 2.1.5 Ok")

    def _data(self, _: bytes) -> None:
        if not self._rcpts:
            self._say("503 5.5.1 No valid recipients")
            return
        self._say("354 Go on")
        content = self._content()
        self.server.kept.taken.append(Taken(self._from, tuple(self._rcpts), content))
        self._reset()
        self._say("250 2.0.0 Ok: kept")

    def _content(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise OSError("the line was lost")
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)
