"""The POP3 service: drives `pop3.server.Server` for the users that the configuration names.

One session a maildrop at a time (RFC 1939 section 8): a lock on a file in the Maildir, which the
kernel drops when we end.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from typing import TYPE_CHECKING

from relaynode.errors import WireError
from relaynode.mailboxes.maildir import Listing, Maildir
from relaynode.pop3 import events
from relaynode.pop3.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.config.values import Password
    from relaynode.mailers.users import Users
    from relaynode.wire.stream import Stream

IDLE_SECONDS = 600.0
"""RFC 1939 section 3: at least ten minutes."""


class Pop3Service:
    """Serves POP3 connections. `passwords`: by user name in lower case."""

    def __init__(self, users: Users, passwords: Mapping[str, Password], *, hostname: str) -> None:
        self._users = users
        self._passwords = passwords
        self._hostname = hostname

    async def serve(self, stream: Stream, client: str) -> None:
        """Talk to one client until it leaves. Never raises but CancelledError."""
        session = _Session(self, stream, Server(self._hostname))
        try:
            await session.run()
        except WireError:
            pass  # without QUIT nothing is deleted (RFC 1939 section 6)
        finally:
            session.unlock()
            await stream.close()

    def maildir_of(self, user: str, password: str) -> Maildir | None:
        """The Maildir that this login opens, None if it opens none."""
        expected = self._passwords.get(user.lower())
        # Compare something in any case: the time it takes must not tell names that exist.
        given, right = password.encode(), expected.reveal().encode() if expected else b""
        is_right = hmac.compare_digest(given, right) and expected is not None
        found = self._users.find(user) if is_right else None
        if found is None or not self._users.are_maildirs:
            return None
        owner = os.geteuid() if found.uid is None else found.uid
        return Maildir(self._users.mailbox_of(found), owner)


class _Session:
    def __init__(self, service: Pop3Service, stream: Stream, server: Server) -> None:
        self._service = service
        self._stream = stream
        self._server = server
        self._maildir: Maildir | None = None
        self._messages = Listing({}, {})
        self._lock: int | None = None

    async def run(self) -> None:
        while True:
            event = self._server.next_event()
            match event:
                case events.NeedData():
                    await self._send()
                    await self._receive()
                case events.NeedDrain():
                    await self._send()
                case events.LoginAttempt():
                    await self._log_in(event)
                case events.Retrieve():
                    await self._retrieve(event)
                case events.Commit():
                    await self._commit(event)
                case events.Closed():
                    await self._send()
                    return

    async def _send(self) -> None:
        await self._stream.write(self._server.data_to_send(), IDLE_SECONDS)

    async def _receive(self) -> None:
        data = await self._stream.read(IDLE_SECONDS)
        if data:
            self._server.receive(data)
        else:
            self._server.peer_closed()

    async def _log_in(self, event: events.LoginAttempt) -> None:
        maildir = self._service.maildir_of(event.user, event.password)
        if maildir is None:
            self._server.refuse_login("AUTH", "name or password is wrong")
            return
        try:
            self._lock = maildir.lock()
            self._messages = await asyncio.to_thread(maildir.messages)
        except BlockingIOError:
            self._server.refuse_login("IN-USE", "the maildrop is open in another session")
            return
        except OSError as error:
            self.unlock()
            self._server.refuse_login("SYS/TEMP", f"the maildrop cannot be read: {error.strerror}")
            return
        self._maildir = maildir
        self._server.accept_login(self._messages.entries)

    def unlock(self) -> None:
        """Give the maildrop back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _retrieve(self, event: events.Retrieve) -> None:
        assert self._maildir is not None  # the core knows that nobody is logged in
        has_begun = False
        try:
            for piece in self._maildir.pieces(self._messages[event.number - 1]):
                self._server.send_content(piece)
                has_begun = True
                await self._send()
                if not self._server.wants_content:
                    break
        except OSError as error:
            if has_begun:
                raise WireError(f"a message became unreadable: {error}") from error
            self._server.fail_content("the message cannot be read")
            return
        self._server.end_content()

    async def _commit(self, event: events.Commit) -> None:
        assert self._maildir is not None
        deleted = [self._messages[number - 1] for number in event.deleted]
        if await asyncio.to_thread(self._maildir.remove, deleted):
            self._server.committed()
        else:
            self._server.commit_failed("some deleted messages not removed")
