"""`uux`: have a command run at another UUCP system, with Taylor UUCP's options.

    uux - -r -gC 'beta!rmail' '(bob@example.org)'    what sendmail, Postfix and Exim call for mail
    uux 'beta!lpr' '!notes'                          with a file of ours
    uux 'beta!who >!~/who'                           its output comes back, into the public folder

How a command line is read stands in uu_command.py, what becomes of it in uucico/queueing.py. Not
done here, and refused: a command for this system itself, one over several systems, and files of a
third system. Errors end it with Taylor's exit codes: 64 for a command line that makes no sense, 66
for a file that cannot be read, 69 for a system that is not known or a file that may not go.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.uu_command import Place, Senseless, read_command
from relaynode.cli.uu_desk import Desk
from relaynode.cli.uu_options import Given, Option, Parser, Refused, ended, grade_of
from relaynode.errors import EX_OK, EX_UNAVAILABLE, EX_USAGE
from relaynode.uucico.queueing import ExecutionWish, FileWish, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.cli.uu_command import ReadCommand

_OPTIONS = (
    Option("p", "stdin", "Read standard input for standard input of command; so does -"),
    Option("c", "nocopy", "Do not copy local files to spool directory (default)"),
    Option("C", "copy", "Copy local files to spool directory"),
    Option("l", "link", "As --copy"),
    Option("g", "grade", "Set job grade (0-9, A-Z, a-z)", "grade"),
    Option("n", "silent", "Do not report completion status"),
    Option("z", "errors", "Report completion status only on error"),
    Option("", "notification", "As -n, or as -z", "no|error"),
    Option("r", "nouucico", "Do not start uucico daemon"),
    Option("a", "requestor", "Address to mail status report to", "address"),
    Option("b", "return-stdin", "Return standard input with status report"),
    Option("s", "status", "Report completion status to file (no effect)", "file"),
    Option("j", "jobid", "Report job id"),
)


def main(words: Sequence[str], program: str = "uux") -> int:
    """Run as `program`; the exit code (sysexits)."""
    return ended(program, lambda: _run(words, program), None)


def _run(words: Sequence[str], program: str) -> int:
    parser = Parser(program, "[options] [-] command", _OPTIONS, stops_early=True)
    given = _parsed(parser, words)
    if not given.words:
        raise parser.wrong()
    try:
        command = read_command(given.words)
    except Senseless as error:
        raise Refused(str(error), EX_USAGE) from error
    desk = Desk(given.config())
    wish = _Wishing(desk, given, command).wish(grade_of(given, program))
    ids = desk.hand_in([wish], calls="nouucico" not in given)
    if "jobid" in given:
        print(*ids, sep="\n")
    return EX_OK


def _parsed(parser: Parser, words: Sequence[str]) -> Given:
    """The options, which may stand before and behind a `-`."""
    given = parser.parse(words)
    while given.words[:1] == ["-"]:
        more = parser.parse(given.words[1:])
        values = {
            name: [*given.all(name), *more.all(name)] for name in (*given.values, *more.values)
        }
        given = Given({**values, "stdin": [""]}, more.words)
    return given


class _Wishing:
    """Makes a wish of a command that was read."""

    def __init__(self, desk: Desk, given: Given, command: ReadCommand) -> None:
        if desk.is_us(command.system):
            text = f"{command.name}: a command for this system itself; run it without uux"
            raise Refused(text, EX_UNAVAILABLE)
        self._desk = desk
        self._given = given
        self._command = command
        self._neighbour = desk.neighbour(command.system)
        self._copies = "copy" in given or "link" in given
        self._files: list[FileWish] = []

    def wish(self, grade: str) -> Wish:
        """Raises: Refused."""
        command = self._command
        words = [
            self._file_argument(one) if isinstance(one, Place) else one for one in command.arguments
        ]
        given, there = self._input()
        output, output_system = self._output()
        execution = ExecutionWish(
            command=(command.name, *words),
            flags=self._flags(),
            result_address=self._given.last("requestor"),
            input=given,
            input_path=there,
            files=tuple(self._files),
            output=output,
            output_system=output_system,
        )
        name, user = self._neighbour.name, self._desk.user
        return Wish(neighbour=name, user=user, grade=grade, execution=execution)

    def _flags(self) -> str:
        given, named = self._given, self._given.all("notification")
        letters = {
            "N": "silent" in given or "no" in named,
            "Z": "errors" in given or "error" in named,
            "B": "return-stdin" in given,
            "e": self._command.wants_shell,
        }
        return "".join(letter for letter, is_set in letters.items() if is_set)

    def _is_there(self, place: Place) -> bool:
        """Is it a file of the system that runs the command? Raises: Refused for a third system."""
        if self._desk.is_us(place.system):
            return False
        if self._desk.neighbour(place.system).name == self._neighbour.name:
            return True
        text = f"{place.system}!{place.path}: files of a third system are not fetched"
        raise Refused(text, EX_UNAVAILABLE)

    def _file_argument(self, place: Place) -> str:
        if self._is_there(place):
            return _path_there(place.path)
        path = self._desk.path(place.path)
        file = self._desk.taken(path, self._neighbour, copies=self._copies)
        name = Path(path).name
        if any(one.name == name for one in self._files):
            raise Refused(f"{path}: there is another file called {name}", EX_USAGE)
        if name.startswith(".") or any(c.isspace() for c in name):
            raise Refused(f"{path}: the command could not be told of this name", EX_USAGE)
        self._files.append(FileWish(source=file.source, name=name, content=file.content))
        return name

    def _input(self) -> tuple[FileWish | None, str]:
        """The standard input: ours, or a path there."""
        place = self._command.input
        if "stdin" in self._given:
            if place is not None:
                raise Refused("Standard input specified twice", EX_UNAVAILABLE)
            return FileWish(content=self._desk.copied()), ""
        if place is None:
            return None, ""
        if self._is_there(place):
            return None, _path_there(place.path)
        path = self._desk.path(place.path)
        file = self._desk.taken(path, self._neighbour, copies=True)
        return FileWish(source=file.source, content=file.content), ""

    def _output(self) -> tuple[str, str]:
        """Where the standard output is to go."""
        place = self._command.output
        if place is None:
            return "", ""
        if self._desk.is_us(place.system):
            path = self._desk.path(place.path)
            self._desk.check_coming(path, self._neighbour)
            return path, self._neighbour.all_terms[0].our_name
        other = self._desk.neighbour(place.system)
        is_there = other.name == self._neighbour.name
        return _path_there(place.path), "" if is_there else other.name


def _path_there(path: str) -> str:
    """A path at another system, as Taylor's has it: relative ones are as our folder's."""
    return path if path.startswith(("/", "~")) else f"{Path.cwd()}/{path}"
