"""`uulog`: what the journals of UUCP work say (uucico/journal.py).

uulog                  the Log             uulog -S        the figures of files
uulog -s beta -u bob   of one system, of one user
uulog -n 20, -20       the last lines      uulog -F, -f beta    and those to come
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

from relaynode.cli.uu_options import Option, Parser, Refused, ended, number_of
from relaynode.errors import EX_OK
from relaynode.neighbours import load_neighbours
from relaynode.uucico.journal import is_about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

LOOK_SECONDS = 1.0
"""How often -F looks for new lines."""

_USAGE = "[-n #] [-sf system] [-u user] [-xDSF] [-I file] [-X debug]"
_OPTIONS = (
    Option("n", "lines", "show given number of lines from end of log", "number"),
    Option("s", "system", "print entries for named system", "system"),
    Option("f", "follow-system", "follow entries for named system", "system"),
    Option("u", "user", "print entries for named user", "user"),
    Option("F", "follow", "follow entries for any system"),
    Option("S", "statslog", "show statistics file"),
    Option("D", "debuglog", "show debugging file"),
    Option("x", "uuxqt", "as without it: there is one log for all programs"),
)


def main(words: Sequence[str], program: str = "uulog") -> int:
    """Run as `program`; the exit code: 0, or 1 for whatever went wrong."""
    return ended(program, lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    parser = Parser(program, _USAGE, _OPTIONS)
    given = parser.parse([_with_letter(word) for word in words])
    if given.words:
        raise parser.wrong()
    if "debuglog" in given:
        raise Refused("no debugging file is kept; uucico -x prints what happens")
    neighbours = load_neighbours(given.config())
    is_stats = "statslog" in given
    path = neighbours.stats if is_stats else neighbours.log
    if path is None:
        raise Refused("no log is kept")
    system, user = given.last("follow-system") or given.last("system"), given.last("user")
    last = number_of(given.last("lines"), "-n") if "lines" in given else None
    is_followed = "follow" in given or "follow-system" in given
    known = neighbours.find(system)
    name = known.name if known is not None else system
    for line in lines_of(
        path,
        lambda line: is_about(line, name, user, is_stats=is_stats),
        last,
        pause=(lambda: time.sleep(LOOK_SECONDS)) if is_followed else None,
    ):
        print(line, flush=is_followed)
    return EX_OK


def _with_letter(word: str) -> str:
    """`-20` is `-n20`."""
    return f"-n{word[1:]}" if word[:1] == "-" and word[1:].isdigit() else word


def lines_of(
    path: Path,
    is_wanted: Callable[[str], bool],
    last: int | None = None,
    *,
    pause: Callable[[], None] | None = None,
) -> Iterator[str]:
    """The wanted lines of a journal, or the `last` of them; with `pause`, between two looks, those
    to come as well. Raises: Refused."""
    file = _open(path)
    try:
        found: Iterable[str] = filter(is_wanted, _whole_lines(file))
        yield from found if last is None else deque(found, last)
        while pause is not None:
            pause()
            yield from filter(is_wanted, _whole_lines(file))
            if _was_moved_away(path, file):
                yield from filter(is_wanted, _whole_lines(file))
                file.close()
                file = _open(path)
    finally:
        file.close()


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def _whole_lines(file: TextIO) -> Iterator[str]:
    """What has come since, without a line that is being written."""
    while True:
        begun_at = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(begun_at)
            return
        yield line[:-1]


def _was_moved_away(path: Path, file: TextIO) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False  # the new one is not there yet
