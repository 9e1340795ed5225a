"""`uucp`: copy files to and from other UUCP systems, with Taylor UUCP's options.

    uucp notes 'horus!~/'               a file of ours to the public folder there
    uucp -R folder 'horus!~/'           with all that is below it
    uucp 'horus!~/notes' '~/'           a file of theirs into our public folder
    uucp 'horus!~/*.txt' '~/'           all that match: they are asked to send them
    uucp notes ~/copy                   a copy here

What is sent is copied now, unless -c says that it may be read when it goes. Not done here, and
refused: copies from one neighbour to another, and over several systems. It ends with 1 for
whatever went wrong, as Taylor's does; then nothing was queued.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.uu_desk import Desk
from relaynode.cli.uu_options import EX_FAILED, Option, Parser, Refused, ended, grade_of
from relaynode.errors import EX_OK
from relaynode.queue.uucp.model import JobKind
from relaynode.uucico.folders import is_allowed
from relaynode.uucico.queueing import CopyWish, Wish

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.cli.uu_options import Given
    from relaynode.neighbours import Neighbour

_OPTIONS = (
    Option("c", "nocopy", "Do not copy local files to spool directory"),
    Option("Cp", "copy", "Copy local files to spool directory (default)"),
    Option("d", "directories", "Create necessary directories (default)"),
    Option("f", "nodirectories", "Do not create directories (fail if they do not exist)"),
    Option("g", "grade", "Set job grade (0-9, A-Z, a-z)", "grade"),
    Option("m", "mail", "Report status of copy by mail"),
    Option("n", "notify", "Report status of copy by mail to remote user", "user"),
    Option("R", "recursive", "Copy directories recursively"),
    Option("r", "nouucico", "Do not start uucico daemon"),
    Option("s", "status", "Report completion status to file (no effect)", "file"),
    Option("j", "jobid", "Report job id"),
    Option("W", "noexpand", "Do not add current directory to remote filenames"),
    Option("t", "uuto", "Emulate uuto"),
    Option("u", "user", "Set user name (ignored)", "name"),
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATTERN = re.compile(r"[*?\[]")


def main(words: Sequence[str], program: str = "uucp") -> int:
    """Run as `program`; the exit code: 0, or 1 for whatever went wrong."""
    return ended(program, lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    parser = Parser(program, "[options] file1 [file2 ...] dest", _OPTIONS)
    given = parser.parse(words)
    if len(given.words) < 2:
        raise parser.wrong()
    if "user" in given:
        print(f"{program}: Ignoring local user name", file=sys.stderr)
    desk = Desk(given.config(), unknown=EX_FAILED, unreadable=EX_FAILED)
    *sources, target = (_end(desk, word) for word in given.words)
    copying = _Copying(desk, given)
    if not target.is_ours:
        wishes = copying.to_them(sources, target, grade_of(given, program))
    else:
        wishes = copying.to_us(sources, target, grade_of(given, program))
    if not wishes:
        return EX_OK
    ids = desk.hand_in(wishes, calls="nouucico" not in given)
    if "jobid" in given:
        print(*ids, sep="\n")
    return EX_OK


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a copy, as it was written. `system`: "" for ours."""

    system: str
    path: str

    @property
    def is_ours(self) -> bool:
        return not self.system


def _end(desk: Desk, word: str) -> _End:
    system, bang, path = word.partition("!")
    if not bang:
        system, path = "", word
    if "!" in path:
        raise Refused(f"{word}: files are not passed on over several systems")
    if _CONTROL.search(word) or not path:
        raise Refused(f"{word!r}: no name of a file")
    return _End("" if desk.is_us(system) else system, path)


class _Copying:
    """Makes wishes of what a command line asks for."""

    def __init__(self, desk: Desk, given: Given) -> None:
        self._desk = desk
        self._given = given
        self._makes_folders = "nodirectories" not in given
        self._options = "d" if self._makes_folders else "f"
        if "mail" in given:
            self._options += "m"

    # --- to a neighbour

    def to_them(self, sources: list[_End], target: _End, grade: str) -> list[Wish]:
        """Raises: Refused."""
        neighbour = self._desk.neighbour(target.system)
        notify = self._given.last("notify")
        path = self._path_there(target.path)
        if "uuto" in self._given:
            notify = notify or target.path
            our_name = neighbour.all_terms[0].our_name
            path = f"~/receive/{target.path}/{our_name}/"
        copies = tuple(
            self._sent(file, f"{path}{below}", neighbour, notify)
            for source in sources
            for file, below in self._files(source, path)
        )
        wish = Wish(neighbour=neighbour.name, user=self._desk.user, grade=grade, copies=copies)
        return [wish] if copies else []

    def _files(self, source: _End, target: str) -> Iterator[tuple[str, str]]:
        """The files that a source means, with what the target's path is lengthened by."""
        if not source.is_ours:
            raise Refused(f"{source.system}!{source.path}: files of others are not passed on")
        path = self._desk.path(source.path)
        if not Path(path).is_dir():
            yield path, ""
        elif "recursive" not in self._given:
            raise Refused(f"{path}: directory without -R")
        else:
            slash = "" if target.endswith("/") else "/"
            for file in _below(Path(path)):
                yield str(file), slash + str(file.relative_to(Path(path).parent))

    def _sent(self, path: str, target: str, neighbour: Neighbour, notify: str) -> CopyWish:
        file = self._desk.taken(path, neighbour, copies="nocopy" not in self._given)
        return CopyWish(
            kind=JobKind.SEND,
            source=file.source,
            target=target,
            options=self._options + "n" * bool(notify),
            mode=file.mode,
            notify=notify,
            content=file.content,
        )

    def _path_there(self, path: str) -> str:
        is_whole = path.startswith(("/", "~")) or "noexpand" in self._given
        return path if is_whole or "uuto" in self._given else f"{Path.cwd()}/{path}"

    # --- to us

    def to_us(self, sources: list[_End], target: _End, grade: str) -> list[Wish]:
        """The wishes, one for each neighbour; copies here are made at once. Raises: Refused."""
        path = self._desk.path(target.path)
        theirs: dict[str, list[CopyWish]] = {}
        for source in sources:
            if source.is_ours:
                continue
            neighbour = self._desk.neighbour(source.system)
            self._check_receiving(path, neighbour)
            theirs.setdefault(neighbour.name, []).append(self._fetched(source, path, neighbour))
        ours = [self._desk.path(source.path) for source in sources if source.is_ours]
        for one in ours:
            self._copy_here(Path(one), path, is_one_of_many=len(sources) > 1)
        user = self._desk.user
        return [
            Wish(neighbour=name, user=user, grade=grade, copies=tuple(copies))
            for name, copies in theirs.items()
        ]

    def _fetched(self, source: _End, path: str, neighbour: Neighbour) -> CopyWish:
        there = self._path_there(source.path)
        if _PATTERN.search(there):
            our_name = neighbour.all_terms[0].our_name
            asked, target = JobKind.REQUEST, f"{our_name}!{path}"
        else:
            asked, target = JobKind.FETCH, path
        return CopyWish(kind=asked, source=there, target=target, options=self._options)

    def _check_receiving(self, path: str, neighbour: Neighbour) -> None:
        if not any(
            is_allowed(Path(path), one.local_receive, one.public) for one in neighbour.all_terms
        ):
            raise Refused(f"Not permitted to receive to {path}")

    def _copy_here(self, source: Path, target: str, *, is_one_of_many: bool) -> None:
        """With the rights of who runs us: nobody else is involved."""
        is_folder = target.endswith("/") or Path(target).is_dir()
        if is_one_of_many and not is_folder:
            raise Refused(f"{target}: several files need a folder")
        if source.is_dir() and "recursive" not in self._given:
            raise Refused(f"{source}: directory without -R")
        files = list(_below(source)) if source.is_dir() else [source]
        if source.is_dir():
            is_folder = True
        for file in files:
            self._desk.looked_at(str(file))
            place = Path(target) / file.relative_to(source.parent) if is_folder else Path(target)
            _copy(file, place, makes_folders=self._makes_folders)


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in order; no symbolic link to a folder is followed."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(root, name)


def _copy(source: Path, target: Path, *, makes_folders: bool) -> None:
    with contextlib.suppress(OSError):
        if source.samefile(target):
            raise Refused(f"{source}: that is the same file")
    try:
        if makes_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    except OSError as error:
        raise Refused(f"{target}: {error.strerror}") from error
