"""What a file that has arrived becomes: a file of the spool, an execution, a public file.

Each is one commit, with the mark that tells the file again should the neighbour not have read our
acknowledgement. A public file is put in its place before that commit: if we die in between it is
sent, and put there, once more.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from relaynode.errors import RemoteProtocolError, StoreFull
from relaynode.queue.content import store_error
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import Completed, Need, NewExecution, SpoolFile
from relaynode.uucico.tree import Placing, place
from relaynode.uucp import xfile
from relaynode.uucp.commands import printable
from relaynode.uucp.names import is_spool_like
from relaynode.uucp.work import Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from relaynode.queue.content import Content
    from relaynode.queue.uucp.model import Mark
    from relaynode.queue.uucp.store import Received

Told: TypeAlias = "Callable[[str], Awaitable[None]]"
"""Told where a file lies, below its folder."""

_log = logging.getLogger(__name__)

USUAL_GRADE = "N"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Whose file it is, and when it came to be whole (`clock`: epoch seconds)."""

    neighbour: str
    received: Received
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class IntoSpool:
    """A D. file, for an execution that will ask for it or already does."""

    arrival: Arrival
    name: str

    async def land(
        self, content: Content, mark: Mark | None, part: tuple[str, str] | None
    ) -> Verdict:
        """See Landing."""
        file = SpoolFile(self.arrival.neighbour, self.name, content, self.arrival.clock())
        await self.arrival.received.complete(Completed(mark, part, file))
        return Verdict.STORED


@dataclass(frozen=True, slots=True)
class IntoExecution:
    """An X. file: its arrival makes an execution of it."""

    arrival: Arrival
    name: str

    async def land(
        self, content: Content, mark: Mark | None, part: tuple[str, str] | None
    ) -> Verdict:
        """See Landing. An X. file that makes no sense, or asks for what nobody may, is refused."""
        neighbour = self.arrival.neighbour
        try:
            wanted = xfile.parse(content.head(xfile.MAX_BYTES + 1))
            _check_texts(wanted)
        except RemoteProtocolError as error:
            _log.warning("%s: %s: %s", neighbour, self.name, error)
            return Verdict.NOT_STORED
        execution = execution_of(wanted, neighbour, self.name, self.arrival.clock())
        await self.arrival.received.complete(Completed(mark, part, execution=execution))
        content.discard()
        return Verdict.STORED


@dataclass(frozen=True, slots=True)
class IntoCommand:
    """The data of an E: a file of the spool and an execution, in one.

    The file gets a name that no neighbour can give, so that it is the input of this execution only,
    whatever else is called like it.
    """

    arrival: Arrival
    name: str
    user: str
    command: tuple[str, ...]
    result_address: str = ""
    flags: str = ""

    async def land(
        self, content: Content, mark: Mark | None, part: tuple[str, str] | None
    ) -> Verdict:
        """See Landing."""
        now, neighbour = self.arrival.clock(), self.arrival.neighbour
        execution_id = new_queue_id()
        input_name = f"{self.name}={execution_id}"
        execution = NewExecution(
            execution_id,
            neighbour,
            self.user,
            self.command,
            now,
            grade=grade_in(self.name),
            input_name=input_name,
            needs=(Need(input_name),),
            result_address=self.result_address,
            flags=self.flags,
        )
        file = SpoolFile(neighbour, input_name, content, now)
        await self.arrival.received.complete(Completed(mark, part, file, execution))
        return Verdict.STORED


@dataclass(frozen=True, slots=True)
class IntoFolder:
    """A file for a public folder, or one that we have fetched. `root`: the folder it is below.

    `on_placed`: told where, once that is for good.
    """

    arrival: Arrival
    root: Path
    placing: Placing
    on_placed: Told | None = None

    async def land(
        self, content: Content, mark: Mark | None, part: tuple[str, str] | None
    ) -> Verdict:
        """See Landing. What the system refuses is refused for ever; a full disk is our fault."""
        try:
            components = await asyncio.to_thread(place, self.root, self.placing, content)
        except OSError as error:
            if isinstance(failure := store_error(error, str(self.root)), StoreFull):
                raise failure from error
            path = "/".join(self.placing.components)
            _log.warning("%s: %s: %s", self.arrival.neighbour, printable(path), error.strerror)
            return Verdict.NOT_STORED
        await self.arrival.received.complete(Completed(mark, part))
        content.discard()
        if self.on_placed is not None:
            await self.on_placed("/".join(components))
        return Verdict.STORED


def execution_of(
    wanted: xfile.ExecutionFile, neighbour: str, name: str, now: float
) -> NewExecution:
    """What an X. file asks for. Who asks is who logged in: the system it names is not believed."""
    needs = {one.file: Need(one.file, one.name) for one in wanted.files}
    if is_spool_like(wanted.input):
        needs.setdefault(wanted.input, Need(wanted.input))
    letters = {
        "N": wanted.mails_never,
        "Z": wanted.mails_on_failure,
        "n": wanted.mails_on_success,
        "B": wanted.returns_input,
    }
    return NewExecution(
        new_queue_id(),
        neighbour,
        printable(wanted.user),
        wanted.command,
        now,
        grade=grade_in(name),
        input_name=wanted.input,
        needs=tuple(needs.values()),
        output=wanted.output,
        output_system=wanted.output_system,
        result_address=printable(wanted.results_to),
        flags="".join(letter for letter, is_set in letters.items() if is_set),
    )


def _check_texts(wanted: xfile.ExecutionFile) -> None:
    """Names that are to be file names here must be texts. Raises: RemoteProtocolError."""
    names = [wanted.input, wanted.output, wanted.output_system, *(f.name for f in wanted.files)]
    for name in names:
        if not is_text(name):
            raise RemoteProtocolError(f"{printable(name[:60])} is no text in UTF-8")


def is_text(name: str) -> bool:
    """Can a peer's name be kept as a text: was it valid UTF-8?"""
    return not any("\udc80" <= character <= "\udcff" for character in name)


def grade_in(name: str) -> str:
    """The grade that stands before the four digits of a D. or X. name; the usual one if none."""
    grade = name[-5:-4]
    return grade if len(name) > 6 and grade.isascii() and grade.isalnum() else USUAL_GRADE
