"""The daemon's desk for UUCP wishes: what uux and uucp ask for.

    uucp-queue    arguments: wishes in JSON (uucico/queueing.py), and "call" if the neighbours are
                  to be called soon; body: the contents that are named, one after the other, each in
                  pieces as "submit" has them. Answer: exit, text, ids

Any local user may ask. Whose wishes they are the kernel says; a file that goes without a copy is
read with that user's rights when it goes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from relaynode.daemon.control import CALL_SOON
from relaynode.errors import (
    EX_NOPERM,
    EX_OK,
    EX_UNAVAILABLE,
    LineLost,
    RelaynodeError,
    RemoteProtocolError,
)
from relaynode.queue.ids import new_queue_id
from relaynode.sources.submit import local_submitter
from relaynode.uucico import queueing
from relaynode.uucico.folders import is_allowed
from relaynode.uucico.queueing import Wish, contents_of, files_of, queue_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from relaynode.node import Node
    from relaynode.queue.content import Content

MAX_CONTENTS = 10_000
"""That one request may bring."""


class NotAllowed(RelaynodeError):
    """A wish that is not fulfilled."""

    def __init__(self, text: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(text)


def decode_wishes(text: str, user: str) -> list[Wish]:
    """Wishes of that user, whatever they say. Raises: RemoteProtocolError."""
    try:
        wishes = msgspec.json.decode(text, type=list[Wish])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RemoteProtocolError(f"wishes that cannot be read: {error}") from error
    return [replace(wish, user=user) for wish in wishes]


class UucpDesk:
    """Takes wishes. `node`: the node of the moment. `wake`: there is something to call for."""

    def __init__(self, node: Callable[[], Node], wake: Callable[[], None]) -> None:
        self._node = node
        self._wake = wake

    async def queue(
        self, arguments: Sequence[str], contents: AsyncIterator[AsyncIterator[bytes]], uid: int
    ) -> dict[str, Any]:
        """Queue what a user wishes for; the answer. Raises: WireError."""
        try:
            wishes = decode_wishes(arguments[0] if arguments else "", local_submitter(uid).name)
            ids = await self._queue(wishes, contents)
        except LineLost:
            raise
        except RelaynodeError as error:
            return {"exit": error.exit_code, "text": str(error)}
        if CALL_SOON in arguments[1:]:
            self._wake()
        return {"exit": EX_OK, "text": "", "ids": ids}

    async def _queue(
        self, wishes: list[Wish], bodies: AsyncIterator[AsyncIterator[bytes]]
    ) -> list[str]:
        node = self._node()
        for wish in wishes:
            queueing.check(wish)
            check_rights(node, wish)
        contents = [
            await self._taken(node, await anext(bodies)) for _ in range(_count_contents(wishes))
        ]
        return await queue_all(node.store, node.neighbours, wishes, contents, node.clock())

    async def _taken(self, node: Node, pieces: AsyncIterator[bytes]) -> Content:
        draft = node.store.draft(new_queue_id())
        try:
            async for piece in pieces:
                draft.write(piece)
            if draft.is_in_file:
                return await asyncio.to_thread(draft.finish)
            return draft.finish()
        except BaseException:
            draft.discard()
            raise


def check_rights(node: Node, wish: Wish) -> None:
    """May it be queued? Raises: NotAllowed."""
    neighbour = node.neighbours.find(wish.neighbour)
    if neighbour is None or neighbour.name != wish.neighbour:
        raise NotAllowed(f"{wish.neighbour}: System not found", EX_UNAVAILABLE)
    for file in files_of(wish):
        path = Path(file.source)
        if file.content is None and not any(
            is_allowed(path, one.local_send, one.public) for one in neighbour.all_terms
        ):
            raise NotAllowed(f"Not permitted to send {path}", EX_NOPERM)


def _count_contents(wishes: Sequence[Wish]) -> int:
    """How many contents come along. Raises: RemoteProtocolError."""
    named = [place for wish in wishes for place in contents_of(wish)]
    if sorted(named) != list(range(len(named))) or len(named) > MAX_CONTENTS:
        raise RemoteProtocolError("wishes that do not agree with their contents")
    return len(named)
