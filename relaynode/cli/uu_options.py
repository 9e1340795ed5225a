"""What the UUCP names have in common: their options, how they complain, and how they end.

Options are Taylor UUCP's, in both forms (`-s beta`, `-sbeta`, `--system beta`, `--system=beta`),
and complaints about them read as its own. Each program has a table of them.
"""

from __future__ import annotations

import getopt
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode import __version__
from relaynode.config.loader import find, load
from relaynode.config.uucp_values import is_grade
from relaynode.errors import EX_IOERR, EX_OK, EX_TEMPFAIL, RelaynodeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.config.loader import Config

USUAL_GRADE = "N"

EX_FAILED = 1
"""How all of them but uux end when something went wrong, whatever it was."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `letters`: its short forms, `name`: the long one. `value`: what it takes, ""
    for nothing. `text`: for --help."""

    letters: str
    name: str
    text: str
    value: str = ""


COMMON = (
    Option("xX", "debug", "Set debugging level (of no effect here)", "debug"),
    Option("I", "config", "Set configuration file to use: a relaynode.toml", "file"),
    Option("v", "version", "Print version and exit"),
    Option("", "help", "Print help and exit"),
)


class Refused(RelaynodeError):
    """What was asked for is not done. `exit_code`: how the program ends."""

    def __init__(self, text: str, exit_code: int = EX_FAILED) -> None:
        self.exit_code = exit_code
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Given:
    """A command line: the values by the option's name, in their order ("" for an option without
    one), and the words that are no options."""

    values: dict[str, list[str]]
    words: list[str]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def all(self, name: str) -> list[str]:
        """The values of an option."""
        return self.values.get(name, [])

    def last(self, name: str, default: str = "") -> str:
        """The value that counts."""
        return self.all(name)[-1] if name in self.values else default

    def config(self, *, with_secrets: bool = False) -> Config:
        """The configuration that is meant. Raises: ConfigError."""
        named = self.last("config")
        return load(find(Path(named) if named else None), with_secrets=with_secrets)


class Parser:
    """`usage`: what stands behind the program's name. `stops_early`: what follows the first word
    that is no option is for another program."""

    def __init__(
        self, program: str, usage: str, options: Sequence[Option], *, stops_early: bool = False
    ) -> None:
        self._program = program
        self._usage = usage
        self._options = (*options, *COMMON)
        self._stops_early = stops_early

    def parse(self, words: Sequence[str]) -> Given:
        """Raises: UsageError; SystemExit when only --help or --version is asked for."""
        short = "".join(
            letter + (":" if one.value else "") for one in self._options for letter in one.letters
        )
        long = [one.name + ("=" if one.value else "") for one in self._options]
        parse = getopt.getopt if self._stops_early else getopt.gnu_getopt
        try:
            found, rest = parse(list(words), short, long)
        except getopt.GetoptError as error:
            raise self.wrong(_complaint(error)) from error
        values: dict[str, list[str]] = {}
        for option, value in found:
            values.setdefault(self._name(option), []).append(value)
        self._answer(values)
        return Given(values, rest)

    def _name(self, option: str) -> str:
        if option.startswith("--"):
            return option[2:]
        return next(one.name for one in self._options if option[1] in one.letters)

    def _answer(self, values: dict[str, list[str]]) -> None:
        if "help" in values:
            print(f"Usage: {self._program} {self._usage}")
            for one in self._options:
                names = [*(f"-{letter}" for letter in one.letters), f"--{one.name}"]
                print(f" {','.join(names)}{' ' * bool(one.value)}{one.value}: {one.text}")
            raise SystemExit(EX_OK)
        if "version" in values:
            print(f"{self._program} (relaynode) {__version__}")
            raise SystemExit(EX_OK)

    def wrong(self, complaint: str = "") -> UsageError:
        """The error for a command line that makes no sense."""
        return UsageError(
            (f"{self._program}: {complaint}\n" if complaint else "")
            + f"Usage: {self._program} {self._usage}\n"
            + f"Use {self._program} --help for help"
        )


def _complaint(error: getopt.GetoptError) -> str:
    option = f"-{error.opt}" if len(error.opt) == 1 else f"--{error.opt}"
    if "requires argument" in error.msg:
        return f"option `{option}' requires an argument"
    if "not recognized" in error.msg:
        return f"unrecognized option `{option}'"
    return error.msg


def ended(program: str, work: Callable[[], int], failure: int | None = EX_FAILED) -> int:
    """The exit code of `work`, which may complain. `failure`: that of every error; None: the
    error's own."""
    try:
        code = work()
        sys.stdout.flush()
    except RelaynodeError as error:
        lead = "" if isinstance(error, UsageError) else f"{program}: "
        print(f"{lead}{error}", file=sys.stderr)
        return error.exit_code if failure is None else failure
    except KeyboardInterrupt:
        return EX_TEMPFAIL if failure is None else failure
    except BrokenPipeError:
        # The reader of our output went away: not ours to complain about, nor the interpreter's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_IOERR if failure is None else failure
    return code


def own_user() -> str:
    """Who runs this program."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"


def grade_of(given: Given, program: str) -> str:
    """The grade that is asked for, if it is one."""
    named = given.last("grade", USUAL_GRADE)[:1]
    if is_grade(named):
        return named
    print(f"{program}: Ignoring illegal grade", file=sys.stderr)
    return USUAL_GRADE


def number_of(text: str, what: str) -> int:
    """A number that a user gave. Raises: Refused."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(f'{what} must be a number, not "{text}"')
    return int(text)
