"""The POP3 service: drives `pop3.server.Server` for the users that the configuration names.

One session a maildrop at a time (RFC 1939 section 8): a lock on a file in the Maildir, which the
kernel drops when we end.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relaynode.accounts.answers import Denied, Later, More, Nonsense, Passed, Visitor
from relaynode.accounts.plain_text import may_log_in_plainly
from relaynode.errors import WireError
from relaynode.mailboxes.maildir import Listing, Maildir
from relaynode.pop3 import events
from relaynode.pop3.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from relaynode.accounts.accounts import Accounts, Login
    from relaynode.accounts.answers import Answer
    from relaynode.mailers.users import Users
    from relaynode.wire.server_context import ServerCertificate
    from relaynode.wire.stream import Stream

IDLE_SECONDS = 600.0
"""RFC 1939 section 3: at least ten minutes."""


class Pop3Service:
    """Serves POP3 connections. `accounts`: who may log in. `certificate`: what TLS is spoken with.
    `plain_networks`: whence people may log in without TLS, beside this machine. `on_login`: told
    from which address somebody has logged in."""

    def __init__(
        self,
        users: Users,
        accounts: Accounts,
        *,
        hostname: str,
        certificate: ServerCertificate | None = None,
        plain_networks: Sequence[Container[Any]] = (),
        on_login: Callable[[str], None] = lambda address: None,
    ) -> None:
        self._users = users
        self.accounts = accounts
        self._hostname = hostname
        self._certificate = certificate
        self._plain_networks = plain_networks
        self.on_login = on_login

    async def serve(self, stream: Stream, client: str) -> None:
        """Talk to one client until it leaves. Never raises but CancelledError."""
        await self._serve(stream, client, is_private=False)

    async def serve_tls(self, stream: Stream, client: str) -> None:
        """The same with one that speaks TLS from the start."""
        await self._serve(stream, client, is_private=True)

    async def _serve(self, stream: Stream, client: str, *, is_private: bool) -> None:
        session: _Session | None = None
        try:
            if is_private:  # before anything is waited for: the client speaks at once
                await self.start_tls(stream)
            server = Server(
                self._hostname,
                allow_login=is_private or may_log_in_plainly(client, self._plain_networks),
                offers_tls=not is_private and self._is_tls_possible,
                mechanisms=await self.accounts.mechanisms() or ("PLAIN",),
            )
            session = _Session(self, stream, server, Visitor("pop3", client, is_private))
            await session.run()
        except WireError:
            pass  # without QUIT nothing is deleted (RFC 1939 section 6)
        finally:
            if session is not None:
                session.unlock()
            await stream.close()

    async def start_tls(self, stream: Stream) -> None:
        """Shake hands as the server. Raises: WireError, TlsFailed."""
        assert self._certificate is not None, "TLS was not offered"
        await self._certificate.accept(stream)

    @property
    def _is_tls_possible(self) -> bool:
        return self._certificate is not None and self._certificate.is_usable

    def maildir_of(self, user: str) -> Maildir | None:
        """The Maildir of somebody who has logged in, None if he has none."""
        found = self._users.find(user)
        if found is None or not self._users.are_maildirs:
            return None
        owner = os.geteuid() if found.uid is None else found.uid
        return Maildir(self._users.mailbox_of(found), owner)


class _Session:
    def __init__(
        self, service: Pop3Service, stream: Stream, server: Server, visitor: Visitor
    ) -> None:
        self._visitor = visitor
        self._login: Login | None = None
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
                case events.StartTls():
                    await self._start_tls()
                case events.LoginAttempt():
                    accounts = self._service.accounts
                    await self._answer(
                        await accounts.check(event.user, event.password, self._visitor)
                    )
                case events.AuthStart():
                    self._login = self._service.accounts.begin(event.mechanism, self._visitor)
                    await self._answer(await self._login.step(event.initial))
                case events.AuthResponse():
                    assert self._login is not None
                    await self._answer(await self._login.step(event.data))
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

    async def _start_tls(self) -> None:
        await self._send()
        await self._service.start_tls(self._stream)
        self._visitor = replace(self._visitor, is_private=True)
        self._server.tls_started()

    async def _answer(self, answer: Answer) -> None:
        """Tell the client what came of a step of its login."""
        match answer:
            case More(challenge):
                self._server.challenge(challenge)
            case Passed(user):
                await self._open(user)
            case Later(text):
                self._server.refuse_login("SYS/TEMP", text)
            case Denied() | Nonsense():
                self._server.refuse_login("AUTH", "name or password is wrong")

    async def _open(self, user: str) -> None:
        maildir = self._service.maildir_of(user)
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
        self._service.on_login(self._visitor.address)
        self._server.accept_login(self._messages.entries)

    def unlock(self) -> None:
        """Give the maildrop back, and a login that was not ended."""
        if self._login is not None:
            self._login.close()
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
