"""Access tokens: fetched only when there is none or it is about to expire, one fetch at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from relaynode.logins.token_server import Granted, fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.logins.secrets import Secret
    from relaynode.logins.token_file import TokenFile
    from relaynode.logins.token_server import Endpoint

MARGIN_SECONDS = 60.0
"""A token that expires within this is as good as expired: the line is slow."""


class Tokens(Protocol):
    """The access tokens of one [oauth.NAME]."""

    async def token(self) -> str:
        """One that is good now. Raises: NoSecret."""
        ...

    async def renewed(self, refused: str) -> str | None:
        """Another than `refused`, which a server did not take; None if there is none.

        Raises: NoSecret.
        """
        ...


class CommandTokens:
    """A command that prints one: it knows itself when to get another."""

    def __init__(self, command: Secret) -> None:
        self._command = command

    async def token(self) -> str:
        """See Tokens."""
        return await self._command.get()

    async def renewed(self, refused: str) -> str | None:
        """See Tokens."""
        found = await self._command.get()
        return found if found != refused else None


class RefreshedTokens:
    """Tokens that a server gives for a refresh token. `clock`: seconds, of any kind."""

    def __init__(
        self,
        endpoint: Callable[[], Endpoint],
        file: TokenFile,
        clock: Callable[[], float],
    ) -> None:
        self._endpoint = endpoint
        self._file = file
        self._clock = clock
        self._known = ""
        self._expires_at = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """See Tokens."""
        async with self._lock:
            if not self._known or self._clock() + MARGIN_SECONDS >= self._expires_at:
                await self._refresh()
            return self._known

    async def renewed(self, refused: str) -> str | None:
        """See Tokens: somebody else may have renewed it already."""
        async with self._lock:
            if self._known in ("", refused):
                await self._refresh()
            return self._known

    async def _refresh(self) -> None:
        self._known = ""
        asked_at = self._clock()
        # What was begun is ended even if the session is called off: a token may be spent already.
        granted = await asyncio.shield(asyncio.to_thread(refresh, self._endpoint, self._file))
        self._known, self._expires_at = granted.access_token, asked_at + granted.lifetime_seconds


def refresh(endpoint: Callable[[], Endpoint], file: TokenFile) -> Granted:
    """Fetch, and keep a rotated refresh token before anybody gets to use the access token.

    Blocks. Raises: NoSecret.
    """
    with file.held():
        old = file.read()
        file.make_room()
        try:
            granted = fetch(endpoint(), old)
            if granted.refresh_token not in ("", old):
                file.replace(granted.refresh_token)
        finally:
            file.tidy()
        return granted
