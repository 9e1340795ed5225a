"""An SMTP server with one settable failure at each step, on a thread of its own."""

import contextlib
import socket
import threading

CLOSES = None
"""Instead of an answer: the connection is closed."""


class Oddball:
    """Answers as a table says, verb by verb, "." being the end of the content; CLOSES hangs up.

    `extensions`: announced in answer to EHLO. `context`: TLS for STARTTLS, or with `is_tls` from
    the start. `sessions`: how many there were.
    """

    def __init__(self, answers=None, *, extensions=(), context=None, is_tls=False):
        self.answers = {
            b"greeting": b"220 odd ESMTP\r\n",
            b"EHLO": ehlo("PIPELINING", "8BITMIME", *extensions),
            b"STARTTLS": b"220 go\r\n",
            b"AUTH": b"235 2.7.0 welcome\r\n",
            b"MAIL": b"250 2.1.0 ok\r\n",
            b"RCPT": b"250 2.1.5 ok\r\n",
            b"DATA": b"354 go\r\n",
            b".": b"250 2.0.0 queued\r\n",
            b"RSET": b"250 ok\r\n",
            b"QUIT": b"221 bye\r\n",
            **(answers or {}),
        }
        self._context = context
        self._is_tls = is_tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sessions = 0

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.sessions += 1
                with contextlib.suppress(OSError), connection:
                    self._talk(connection)

    def _talk(self, connection):
        if self._is_tls:
            connection = self._context.wrap_socket(connection, server_side=True)
        if not self._say(connection, b"greeting"):
            return
        while connection is not None:
            connection = self._dialogue(connection)

    def _dialogue(self, connection):
        """Until the end, or until TLS begins: then the connection under TLS."""
        is_content = False
        with connection.makefile("rb") as lines:
            for line in lines:
                word = line.split()[0].upper() if line.strip() else b""
                if is_content and line != b".\r\n":
                    continue
                if not self._say(connection, b"." if is_content else word):
                    return None
                is_content = word == b"DATA" and self.answers[b"DATA"].startswith(b"354")
                if word == b"STARTTLS" and self.answers[word].startswith(b"2"):
                    break
            else:
                return None
        return self._context.wrap_socket(connection, server_side=True)

    def _say(self, connection, word):
        answer = self.answers.get(word, b"500 5.5.1 what\r\n")
        if answer is not None:
            connection.sendall(answer)
        return answer is not None


def ehlo(*extensions):
    """The answer to EHLO that announces these."""
    lines = ["odd", *extensions]
    return "".join(
        f"250{' ' if number == len(lines) else '-'}{line}\r\n"
        for number, line in enumerate(lines, 1)
    ).encode()
