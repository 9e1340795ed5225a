"""What a neighbour asks of us in a session: to take files, to give files, to run commands.

All questions are answered at once, from what was read before the session began: there is no other
session with this neighbour, so nobody else changes its marks and parts.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from relaynode.queue.uucp.model import Mark, Part
from relaynode.uucico import landing
from relaynode.uucico.arriving import Arriving, held_bytes
from relaynode.uucico.contents import FileSource
from relaynode.uucico.post import Letter
from relaynode.uucico.tree import Placing, open_public
from relaynode.uucp import xfile
from relaynode.uucp.commands import Code, Execute, Send, printable
from relaynode.uucp.names import PublicPath, SpoolName, is_temp
from relaynode.uucp.work import Duplicate, OpenedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.queue.uucp.store import Received
    from relaynode.uucico.arriving import Landing
    from relaynode.uucico.post import Post
    from relaynode.uucico.tasks import Tasks
    from relaynode.uucico.terms import SessionTerms
    from relaynode.uucp.commands import Fetch
    from relaynode.uucp.names import Target
    from relaynode.uucp.work import Offered

_log = logging.getLogger(__name__)

MAX_PARTS = 64
"""So many broken transfers are kept for one neighbour: the oldest makes room."""

FORGOTTEN_AT_ONCE = 64
"""Marks that are deleted in one commit; what a crash leaves is harmless and pruned in time."""

KEPT_MARKS = 1024
"""Marks of what a neighbour has seen acknowledged and may not have written down: if it is killed
then, it offers these files again."""


class Incoming:
    """One neighbour's requests in one session. Made by `open`."""

    def __init__(
        self,
        session: SessionTerms,
        received: Received,
        tasks: Tasks,
        post: Post,
        may_run: Callable[[Sequence[str]], bool],
        *,
        marks: Sequence[Mark],
        parts: Sequence[Part],
    ) -> None:
        self._session = session
        self._received = received
        self._tasks = tasks
        self._post = post
        self._may_run = may_run
        self._marks = {mark.temp: mark for mark in marks}
        self._parts = {part.temp: part for part in parts}
        self._arrival = landing.Arrival(session.neighbour, received, session.clock)
        self._arriving: dict[str, Arriving] = {}
        self._confirmed: list[Mark] = []
        self._opened: dict[int, FileSource] = {}

    @classmethod
    async def open(
        cls,
        session: SessionTerms,
        received: Received,
        tasks: Tasks,
        post: Post,
        may_run: Callable[[Sequence[str]], bool],
    ) -> Incoming:
        """Read what is known of earlier sessions. Raises: StoreError."""
        marks = await received.marks(session.neighbour)
        parts = await received.parts(session.neighbour)
        for old in parts[:-MAX_PARTS]:
            await received.drop_part(old.neighbour, old.temp)
        kept = parts[-MAX_PARTS:]
        return cls(session, received, tasks, post, may_run, marks=marks, parts=kept)

    async def close(self, *, is_in_order: bool = True) -> None:
        """Write down what the neighbour has seen acknowledged. `is_in_order`: it has lived on to
        the end of the session. Raises: StoreError."""
        for source in self._opened.values():
            source.close()
        self._opened.clear()
        await self._forget(0 if is_in_order else KEPT_MARKS)

    # --- files to us

    def offered(self, request: Offered, target: Target) -> Arriving | Duplicate | Code:
        """A place for the file, or why not."""
        if not self._session.terms.may_send:
            return Code.NOT_PERMITTED
        if (mark := self._known(request)) is not None:
            return Duplicate(confirmed=partial(self._seen, mark))
        if (other := self._arriving.get(request.temp)) is not None and not other.is_over:
            return Code.NO_CHANNEL  # two files under one key would get into each other's way
        found = self._landing(request, target)
        if isinstance(found, Code):
            return found
        part = self._part(request)
        root = self._session.terms.public if isinstance(target, PublicPath) else None
        held = part.held_bytes if part is not None else 0
        refusal = self._session.refusal_of_size(
            request.size, held, root if root is not None else self._session.spool
        )
        if refusal is not None:
            return refusal
        sink = self.sink(part, found)
        if part is not None:
            self._arriving[request.temp] = sink
        return sink

    def sink(self, part: Part | None, where: Landing) -> Arriving:
        """A file that arrives, for whatever reason."""
        session = self._session
        return Arriving(
            part,
            where,
            self._received,
            self._tasks,
            clock=session.clock,
            min_free_bytes=session.terms.min_free_bytes,
            max_bytes=session.max_bytes(by_us=False),
            on_stored=self._stored,
            on_confirmed=self._seen,
        )

    def _known(self, request: Offered) -> Mark | None:
        """The mark of this very file, if it was received in an earlier call."""
        mark = self._marks.get(request.temp)
        if mark is None or mark.target != printable(request.target):
            return None
        return mark if request.size is None or request.size == mark.size_bytes else None

    def _part(self, request: Offered) -> Part | None:
        """What there is of the file, or would be; None if it cannot be known again."""
        if not is_temp(request.temp):
            return None
        target = printable(request.target)
        part = self._parts.get(request.temp)
        if part is not None and (part.target, part.expected_bytes) == (target, request.size):
            return replace(part, held_bytes=self._usable(part, request.size))
        neighbour = self._session.neighbour
        return Part(neighbour, request.temp, "", target, request.size, 0, "", 0.0)

    def _usable(self, part: Part, size_bytes: int | None) -> int:
        held = held_bytes(part, self._received)
        return held if size_bytes is None or held <= size_bytes else 0

    def _landing(self, request: Offered, target: Target) -> Landing | Code:
        if isinstance(request, Execute):
            return self._command(request, target)
        if isinstance(target, PublicPath):
            return self._folder(request, target)
        if not target.is_execution:
            return landing.IntoSpool(self._arrival, target.name)
        if request.size is not None and request.size > xfile.MAX_BYTES:
            return Code.NOT_PERMITTED
        return landing.IntoExecution(self._arrival, target.name)

    def _command(self, request: Execute, target: Target) -> Landing | Code:
        if not isinstance(target, SpoolName) or target.is_execution:
            return Code.NOT_PERMITTED
        command = tuple(request.command.split())
        if not self._may_run(command):
            # Told now, it costs the line nothing, and the neighbour tells its user itself.
            _log.warning(
                "%s: not permitted to execute %s",
                self._session.neighbour,
                printable(request.command[:200]),
            )
            return Code.NOT_PERMITTED
        return landing.IntoCommand(
            self._arrival,
            target.name,
            printable(request.user),
            command,
            printable(request.notify) if "R" in request.options else "",
            "".join(letter for letter in request.options if letter in "NZ"),
        )

    def _folder(self, request: Send, target: PublicPath) -> Landing | Code:
        terms = self._session.terms
        names = (*target.components, *filter(None, (target.base_name,)))
        if not all(map(landing.is_text, names)):
            return Code.NOT_PERMITTED
        # Whether the path is a folder is known later: neither reading may lead out of bounds.
        for components in (target.components, target.within):
            if not self._session.reaches(components, terms.remote_receive):
                return Code.NOT_PERMITTED
        placing = Placing(
            target.components,
            target.base_name,
            target.is_folder,
            request.mode,
            makes_folders="f" not in request.options,
        )
        tells = "n" in request.options and request.notify
        return landing.IntoFolder(
            self._arrival, terms.public, placing, self._teller(request) if tells else None
        )

    def _teller(self, request: Send) -> landing.Told:
        async def tell(path: str) -> None:
            neighbour = self._session.neighbour
            text = (
                f"A file from {neighbour} has arrived, sent by {printable(request.user)}:\n\n"
                f"    {self._session.terms.public / printable(path)}\n"
            )
            subject = f"File from {neighbour} has arrived"
            await self._post.send(Letter(printable(request.notify), subject, text))

        return tell

    # --- marks

    def _stored(self, mark: Mark) -> None:
        self._marks[mark.temp] = mark
        self._parts.pop(mark.temp, None)
        self._arriving.pop(mark.temp, None)

    def _seen(self, mark: Mark) -> None:
        """Our acknowledgement was read: the file will not be offered again in this session, nor
        in another, unless the neighbour dies before it has written that down."""
        if self._marks.get(mark.temp) == mark:
            del self._marks[mark.temp]
        self._confirmed.append(mark)
        if len(self._confirmed) >= KEPT_MARKS + FORGOTTEN_AT_ONCE:
            self._tasks.start(self._forget(KEPT_MARKS))

    async def _forget(self, kept: int) -> None:
        """Delete the marks of what was confirmed, but for the last ones."""
        count = max(0, len(self._confirmed) - kept)
        marks, self._confirmed = self._confirmed[:count], self._confirmed[count:]
        if marks:
            await self._received.forget_marks(marks)

    # --- files from us

    def wanted(self, request: Fetch, path: PublicPath) -> OpenedFile | Code:
        """The file, open, or why not."""
        session = self._session
        allowed = session.terms.may_fetch and session.reaches(
            path.components, session.terms.remote_send
        )
        if not allowed:
            return Code.NOT_PERMITTED
        try:
            descriptor, found = open_public(session.terms.public, path.components)
        except OSError as error:
            reason = error.strerror or str(error)
            _log.warning("%s: %s: %s", session.neighbour, printable(request.source), reason)
            return Code.NOT_PERMITTED
        source = FileSource(descriptor, found.st_size)
        limits = [one for one in (request.limit, session.max_bytes(by_us=False)) if one is not None]
        if any(found.st_size > limit for limit in limits):
            source.close()
            return Code.TOO_LARGE_NOW
        self._opened[id(request)] = source
        return OpenedFile(source, 0o777 if found.st_mode & 0o111 else 0o666)

    def fetched(self, request: Fetch, is_confirmed: bool) -> None:
        """The file is not needed any more."""
        source = self._opened.pop(id(request), None)
        if source is not None:
            source.close()
