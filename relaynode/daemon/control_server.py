"""The daemon's end of the control socket: any local user may submit and list, commands are its own
user's."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from relaynode.daemon.control import QUEUE_WISHES, Request, caller_uid, decode_request
from relaynode.daemon.uucp_desk import UucpDesk
from relaynode.errors import (
    EX_NOPERM,
    EX_OK,
    EX_PROTOCOL,
    EX_TEMPFAIL,
    EX_USAGE,
    BusyError,
    LineLost,
    RelaynodeError,
    RemoteProtocolError,
    UsageError,
    WireError,
)
from relaynode.links.queuelist import queue_text
from relaynode.links.wish import Wish
from relaynode.node import deliver_here
from relaynode.queue.model import RecipientState
from relaynode.sources.filters import local_filters_of
from relaynode.sources.sendmail_options import parse_options
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.sources.submit import local_submitter, submit
from relaynode.sources.uucp_mail import COMMANDS
from relaynode.wire.unix import UnixListener, UnixStream, is_served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from relaynode.links.summary import Summary
    from relaynode.node import Node
    from relaynode.queue.model import QueuedMessage

REQUEST_SECONDS = 30.0
BODY_SECONDS = 3600.0
"""A program may write its mail as slowly as it thinks."""

MAX_PIECE_BYTES = 1024 * 1024
PROGRESS_SECONDS = 0.2


class ControlServer:
    """Takes requests for a daemon."""

    def __init__(self, node: Callable[[], Node], wake: Callable[[], None]) -> None:
        """`node`: the node as it is now. `wake`: tells the workers that something has changed."""
        self._node = node
        self._wake = wake
        self._listener = UnixListener(self._serve)
        self._desk = UucpDesk(node, wake)

    async def refuse_second(self, path: Path) -> None:
        """Raises: BusyError if a daemon serves this spool already."""
        if await asyncio.to_thread(is_served, path):
            raise BusyError(f"{path}: a daemon serves this spool already")

    async def listen(self, path: Path) -> None:
        """Raises: BusyError if a daemon serves this spool already; ConnectFailed."""
        await self.refuse_second(path)
        # Any local user may submit mail; the commands ask who is calling.
        self._listener.listen(path, 0o666)

    async def close(self) -> None:
        """Stop taking requests; those under way are called off."""
        await self._listener.close()

    async def _serve(self, stream: UnixStream) -> None:
        try:
            uid = caller_uid(stream.connection)
            request = await self._request(stream)
            if request is None:
                return
            if request.verb == "submit":
                await self._submit(stream, request, uid)
            elif request.verb == "rmail":
                await self._rmail(stream, request, uid)
            elif request.verb == "smtp":
                await self._smtp(stream, uid)
            elif request.verb == "mailq":
                await self._list(stream, request)
            elif request.verb == QUEUE_WISHES:
                contents = _bodies(stream, request.body_start)
                await self._line(stream, await self._desk.queue(request.arguments, contents, uid))
            elif uid not in (0, os.geteuid()):
                await self._end(stream, EX_NOPERM, "only root and the daemon's user may do this")
            else:
                await self._command(stream, request)
        except WireError:
            pass  # the caller went away

    async def _request(self, stream: UnixStream) -> Request | None:
        data = b""
        try:
            while (request := decode_request(data)) is None:
                piece = await stream.read(REQUEST_SECONDS)
                if not piece:
                    return None
                data += piece
        except RemoteProtocolError as error:
            await self._end(stream, EX_PROTOCOL, str(error))
            return None
        return request

    # --- submissions

    async def _submit(self, stream: UnixStream, request: Request, uid: int) -> None:
        node = self._node()
        try:
            options = parse_options(list(request.arguments))
            if options.mode not in ("m", "a"):
                raise UsageError(f"sendmail: -b{options.mode} is not for the daemon to do")
        except UsageError as error:
            answer = f"{error.exit_code}\0{error}\0"
            await stream.write(answer.encode("utf-8", "surrogateescape"))
            return
        submission = await submit(
            node.intake,
            options,
            local_submitter(uid),
            _body(stream, request.body_start),
            node.config.hostname,
            lambda queue_id: self._deliver(node, queue_id),
            local_filters_of(node.config),
        )
        answer = f"{submission.exit_code}\0{submission.complaint}\0"
        await stream.write(answer.encode("utf-8", "surrogateescape"))

    async def _rmail(self, stream: UnixStream, request: Request, uid: int) -> None:
        """rmail and its kin as programs. Arguments: UU_MACHINE, and the command line."""
        if len(request.arguments) < 2 or request.arguments[1] not in COMMANDS:
            await stream.write(f"{EX_USAGE}\0unknown request\0".encode())
            return
        machine, *words = request.arguments
        user = local_submitter(uid).name
        body = _body(stream, request.body_start)
        code, complaint = await self._node().uucp_mail.run(words, user, machine, body)
        await stream.write(f"{code}\0{complaint}\0".encode("utf-8", "surrogateescape"))

    async def _smtp(self, stream: UnixStream, uid: int) -> None:
        """`sendmail -bs`: SMTP with any local user; the socket takes the place of a terminal."""
        node = self._node()
        source = SmtpSource(
            node.intake,
            node.rules,
            hostname=node.config.hostname,
            networks=[],
            max_size_bytes=node.config.file.queue.message_size_bytes,
            filters=local_filters_of(node.config),
        )
        await source.serve(stream, "127.0.0.1", trusted_user=local_submitter(uid).name)

    async def _list(self, stream: UnixStream, request: Request) -> None:
        """What waits, for any local user. Arguments: the command line of mailq."""
        node = self._node()
        try:
            options = parse_options(list(request.arguments), "mailq")
            text = await queue_text(node.store, node.config.spool, options)
        except RelaynodeError as error:
            await self._end(stream, error.exit_code, str(error))
            return
        await self._end(stream, EX_OK, text)

    async def _deliver(self, node: Node, queue_id: str) -> QueuedMessage | None:
        message = await deliver_here(node, queue_id)
        states = {one.state for one in message.recipients} if message is not None else set()
        if RecipientState.FAILED in states:
            self._wake()  # there is a DSN about it
        return message

    # --- commands

    async def _command(self, stream: UnixStream, request: Request) -> None:
        match request.verb:
            case "linkup" | "run":
                await self._run(stream, request)
            case "linkdown":
                await self._link_down(stream, request)
            case "status":
                await self._end(stream, EX_OK, "")
            case "wake":
                self._wake()
                await self._end(stream, EX_OK, "")
            case _:
                await self._end(stream, EX_USAGE, f"unknown request {request.verb}")

    async def _run(self, stream: UnixStream, request: Request) -> None:
        """Arguments: the link, and a Wish as JSON."""
        node = self._node()
        link, wish_json = request.arguments
        if request.verb == "linkup":
            await node.links.came_up(link)
        latest: list[Summary] = []

        def keep(summary: Summary) -> None:
            latest[:] = [summary]

        run = node.links.run(link, Wish.from_json(wish_json), on_progress=keep)
        work = asyncio.ensure_future(run)
        try:
            while not work.done():
                await asyncio.wait((work,), timeout=PROGRESS_SECONDS)
                if latest:
                    await self._line(stream, {"progress": latest[-1].as_json()})
            summary = work.result()
        except RelaynodeError as error:
            await self._end(stream, error.exit_code, str(error))
            return
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            self._wake()
        code = EX_OK if summary.is_clean else EX_TEMPFAIL
        await self._line(stream, {"exit": code, "text": "", "summary": summary.as_json()})

    async def _link_down(self, stream: UnixStream, request: Request) -> None:
        node = self._node()
        (link,) = request.arguments
        await node.store.set_link(link, False, node.clock())
        node.links.call_off(link)
        await self._end(stream, EX_OK, "")

    async def _line(self, stream: UnixStream, value: dict[str, Any]) -> None:
        await stream.write(json.dumps(value).encode() + b"\n")

    async def _end(self, stream: UnixStream, code: int, text: str) -> None:
        await self._line(stream, {"exit": code, "text": text})


async def _body(stream: UnixStream, start: bytes) -> AsyncIterator[bytes]:
    """The pieces of the one message. Raises: see _Frames."""
    async for piece in _Frames(stream, start).pieces():
        yield piece


async def _bodies(stream: UnixStream, start: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
    """One body after the other, each to be read to its end before the next."""
    frames = _Frames(stream, start)
    while True:
        yield frames.pieces()


class _Frames:
    """Pieces, each behind its length in four bytes, 0 at the end of a body.

    Raises: LineLost when the caller dies in the middle: half a mail is none; RemoteProtocolError.
    """

    def __init__(self, stream: UnixStream, start: bytes) -> None:
        self._stream = stream
        self._buffer = start

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces of the next body."""
        while size := await self._size():
            while len(self._buffer) < 4 + size:
                await self._read()
            piece, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
            yield piece
        self._buffer = self._buffer[4:]

    async def _size(self) -> int:
        while len(self._buffer) < 4:
            await self._read()
        size = int.from_bytes(self._buffer[:4], "big")
        if size > MAX_PIECE_BYTES:
            raise RemoteProtocolError("a piece of a message is too long")
        return size

    async def _read(self) -> None:
        piece = await self._stream.read(BODY_SECONDS)
        if not piece:
            raise LineLost("the submitting program ended in the middle of the message")
        self._buffer += piece
