"""A login of ours (RFC 4954): what AUTH is sent with, what challenges are answered with, and that
nothing of it is written down."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from relaynode.errors import RemoteProtocolError
from relaynode.smtp.reply import Reply

if TYPE_CHECKING:
    from relaynode.sasl import Mechanism

MAX_AUTH_COMMAND_BYTES = 512
"""RFC 4954 section 4: AUTH is a command line like others (RFC 5321 4.5.3.1.4), line end included;
a longer initial response is given when the server asks for it."""

_CANCEL = "*"


class Login:
    """One login with a mechanism."""

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism
        self._failure: RemoteProtocolError | None = None
        self._secrets: set[str] = set()

    def command(self) -> str:
        """What it begins with."""
        initial = self._mechanism.initial()
        command = f"AUTH {self._mechanism.name}"
        self._remember_secret(initial or b"")
        if initial is None:
            return command
        # RFC 4954 section 4: "=" is an empty one.
        with_initial = f"{command} {base64.b64encode(initial).decode() or '='}"
        is_short = len(with_initial) <= MAX_AUTH_COMMAND_BYTES - len("\r\n")
        return with_initial if is_short else command

    def answer(self, reply: Reply) -> str:
        """What a challenge is answered with. That may call the login off (RFC 4954 section 4), and
        what was wrong is raised by `insist` when the server has seen it.

        Raises: RemoteProtocolError if the server goes on after that.
        """
        self.insist()
        try:
            return self._answer(reply)
        except RemoteProtocolError as error:
            self._failure = error
            return _CANCEL

    def _answer(self, reply: Reply) -> str:
        try:
            challenge = base64.b64decode(reply.lines[0].strip(), validate=True)
        except ValueError:  # binascii.Error is one; so is what lies outside ASCII
            raise RemoteProtocolError("AUTH: the challenge is not base64") from None
        answer = self._mechanism.respond(challenge)
        self._remember_secret(answer)
        return base64.b64encode(answer).decode()

    def insist(self) -> None:
        """Raises: RemoteProtocolError if it was called off."""
        if self._failure is not None:
            raise self._failure

    def succeeded(self) -> None:
        """The server says so. Raises: RemoteProtocolError if it could not have."""
        self._mechanism.succeeded()

    def _remember_secret(self, response: bytes) -> None:
        words = [base64.b64encode(response), response, *re.split(rb"[\0\1 ]|Bearer ", response)]
        self._secrets |= {word.decode("utf-8", "replace") for word in words if len(word) > 3}

    def hidden(self, reply: Reply) -> Reply:
        """The reply without what was sent: servers quote the command they did not like, and what
        they say is written down."""
        lines = reply.lines
        # The longest first, so that a short one does not break it up and leave the rest.
        for secret in sorted(self._secrets, key=len, reverse=True):
            hide = re.compile(re.escape(secret), re.IGNORECASE)
            lines = tuple(hide.sub("***", line) for line in lines)
        return Reply(reply.code, lines)
