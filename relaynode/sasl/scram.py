"""SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677), played by the library scramp.

Both sides prove that they know the password, and neither shows it. No channel binding: the PLUS
forms are not offered by the servers that we know of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from relaynode.errors import RemoteProtocolError, ServerNotProven
from relaynode.sasl.mechanism import Mechanism

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ITERATIONS = 1_000_000
"""Half a second of work. More is asked for only by one who wants to keep us busy."""


class Scram(Mechanism):
    """`digest`: "SHA-1" or "SHA-256". `nonce`: for tests; a fresh one otherwise."""

    def __init__(self, digest: str, user: str, password: str, nonce: str | None = None) -> None:
        from scramp import ScramClient

        self.name = f"SCRAM-{digest}"
        self._client = self._do(
            lambda: ScramClient([self.name], user, password, c_nonce=nonce), "name and password"
        )
        self._first: bytes = self._do(self._client.get_client_first, "name").encode()
        self._steps = 0
        self._is_asked = False
        self._is_proven = False

    def initial(self) -> bytes | None:
        """The client-first-message."""
        return self._first

    def respond(self, challenge: bytes) -> bytes:
        """The client-final-message; then nothing but the server's signature looked at."""
        if not challenge and not (self._steps or self._is_asked):
            self._is_asked = True  # the server ignored the initial response
            return self._first
        try:
            text = challenge.decode()
        except UnicodeDecodeError:
            raise RemoteProtocolError(f"{self.name}: the challenge is not UTF-8") from None
        self._steps += 1
        if self._steps == 1:
            return self._answer(text)
        if self._steps == 2:
            self._check_signature(text)
            return b""
        raise RemoteProtocolError(f"{self.name}: a third challenge")

    def succeeded(self) -> None:
        """RFC 5802 section 3: a server that did not sign is not the one we have an account with."""
        if not self._is_proven:
            text = f"{self.name}: the server did not prove that it knows the password"
            raise ServerNotProven(text)

    def _answer(self, text: str) -> bytes:
        count = re.search(r",i=([0-9]{1,9})(?:,|$)", text)
        if count is not None and int(count[1]) > MAX_ITERATIONS:
            raise RemoteProtocolError(f"{self.name}: the server asks for {count[1]} iterations")
        self._do(lambda: self._client.set_server_first(text), "challenge")
        answer: str = self._do(self._client.get_client_final, "challenge")
        return answer.encode()

    def _check_signature(self, text: str) -> None:
        if text.startswith("e="):
            # RFC 5802 section 7: the server's reason. What it says next is a refusal.
            self.told = re.sub(r"[^!-~]", "?", text[2:82])
            return
        try:
            self._do(lambda: self._client.set_server_final(text), "signature")
        except RemoteProtocolError:
            text = f"{self.name}: the server's signature is wrong: it is an impostor"
            raise ServerNotProven(text) from None
        self._is_proven = True

    def _do(self, step: Callable[[], Any], what: str) -> Any:
        """A step of the library, its errors in our words: its own may quote what it was given."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - it lets more than its own through
            kind = type(error).__name__
            raise RemoteProtocolError(f"{self.name}: {what} not understood ({kind})") from None
