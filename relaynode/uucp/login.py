"""The called side's login, where no system's getty or sshd has asked for it already.

    called   login:
    caller   Ualpha CR
    called   Password:
    caller   secret CR

Nothing is echoed, and a wrong pair is answered with silence. Whether name and password fit is for
the injected check to say, which must take the same time for all wrong answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.errors import LineLost, RemoteProtocolError
from relaynode.uucp.commands import to_text

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_PROMPT = b"login: "
PASSWORD_PROMPT = b"Password:"

LOGIN_SECONDS = 120.0
"""How long the whole login may take."""

MAX_LINE_BYTES = 256
MAX_PROMPTS = 10
"""So often the name is asked for, where empty lines come."""

_END = re.compile(rb"[\r\n]")
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))


class LoginPrompt:
    """Asks for name and password. Feed bytes, take bytes.

    `check(name, password)` says whether they fit; it is asked once, for a name that does not exist
    too. `name` is the login, once it has been accepted; `is_refused` says that the caller was wrong
    and should hear nothing more.
    """

    def __init__(
        self, check: Callable[[str, bytes], bool], now: float, *, strips_high_bits: bool = True
    ) -> None:
        self.name: str | None = None
        self.is_refused = False
        self._check = check
        self._strips_high_bits = strips_high_bits
        self._ends_at = now + LOGIN_SECONDS
        self._stated: bytes | None = None
        self._incoming = bytearray()
        self._outgoing = bytearray(NAME_PROMPT)
        self._prompts = 1
        self._swallows_lf = False

    @property
    def is_over(self) -> bool:
        """Whether the caller was accepted or refused."""
        return self.name is not None or self.is_refused

    @property
    def rest(self) -> bytes:
        """What came behind the password, once that was accepted."""
        return bytes(self._incoming)

    @property
    def wake_at(self) -> float | None:
        """When `tick` must be called."""
        return None if self.is_over else self._ends_at

    def data_to_send(self) -> bytes:
        """Take all bytes for the caller."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes, now: float) -> tuple[()]:
        """Take bytes from the caller; as in a chat, but there is never anything to do.

        Raises: RemoteProtocolError for far too many of them.
        """
        self._incoming += data
        while not self.is_over and (line := self._line()) is not None:
            self._take(line)
        return ()

    def tick(self, now: float) -> tuple[()]:
        """Raises: LineLost when the caller has taken too long."""
        if not self.is_over and now >= self._ends_at:
            raise LineLost("nobody has logged in")
        return ()

    def _line(self) -> bytes | None:
        """The next line, without its end: CR, LF, or CR LF, which may come in two pieces."""
        seen = self._seen()
        if self._swallows_lf and seen:
            self._swallows_lf = False
            if seen.startswith(b"\n"):
                del self._incoming[:1]
                seen = seen[1:]
        end = _END.search(seen)
        line_bytes = len(seen) if end is None else end.start()
        if line_bytes > MAX_LINE_BYTES:
            raise RemoteProtocolError("a line without an end at the login")
        if end is None:
            return None
        self._swallows_lf = end[0] == b"\r"
        del self._incoming[: end.end()]
        return seen[: end.start()]

    def _seen(self) -> bytes:
        seen = bytes(self._incoming)
        return seen.translate(_SEVEN_BITS) if self._strips_high_bits else seen

    def _take(self, line: bytes) -> None:
        if self._stated is not None:
            self._judge(self._stated, line)
        elif line.strip():
            self._stated = line.strip()
            self._outgoing += PASSWORD_PROMPT
        else:
            self._ask_again()

    def _ask_again(self) -> None:
        self._prompts += 1
        if self._prompts > MAX_PROMPTS:
            raise RemoteProtocolError("nothing but empty lines at the login")
        self._outgoing += NAME_PROMPT

    def _judge(self, stated: bytes, password: bytes) -> None:
        name = to_text(stated)
        if self._check(name, password):
            self.name = name
        else:
            self.is_refused = True
            self._incoming.clear()
