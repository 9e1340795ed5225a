"""Execution files (X.): what a peer asks to be run, and with which files.

    U user system        who asks
    F file [name]        must be there before it runs
    I file               standard input
    O file [system]      standard output
    C command argument...

One line each, in any order; unknown letters and comments are passed over. The content is a
stranger's: every name is judged here, the command and its arguments by whoever runs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.commands import printable, to_bytes, to_text
from relaynode.uucp.names import Forbidden, is_spool_like, spool_name

MAX_BYTES = 65536
MAX_FILES = 100
"""The most F lines."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTED = re.compile(r"\\(\\|[0-7]{3})")
_TO_QUOTE = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class NeededFile:
    """A file of the spool that must be there; `name` is what the command finds it as, or empty."""

    file: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionFile:
    """A command to be run for a peer.

    `input` and `output` are empty where there is none. `results_to`: who hears of the outcome
    instead of `user`. `mails_on_success`, `mails_never`: the lines n and N.
    """

    command: tuple[str, ...]
    user: str = ""
    system: str = ""
    input: str = ""
    output: str = ""
    output_system: str = ""
    files: tuple[NeededFile, ...] = ()
    results_to: str = ""
    mails_on_failure: bool = False
    mails_on_success: bool = False
    mails_never: bool = False
    returns_input: bool = False
    wants_shell: bool = False


def parse(content: bytes) -> ExecutionFile:
    """Read an execution file. Raises: RemoteProtocolError for what nobody may ask."""
    if len(content) > MAX_BYTES:
        raise RemoteProtocolError(f"an execution file of {len(content)} bytes")
    return _Reader(content).result()


class _Reader:
    """Collects the lines of one file."""

    def __init__(self, content: bytes) -> None:
        self._values: dict[str, str] = {}
        self._flags: set[str] = set()
        self._files: list[NeededFile] = []
        self._command: tuple[str, ...] = ()
        lines = [to_text(line.rstrip(b"\r")) for line in content.split(b"\n")]
        self._is_quoted = any(line[:1] == "Q" and not line[1:].strip() for line in lines)
        for line in lines:
            self._take(line)

    def _take(self, line: str) -> None:
        letter, words = line[:1], self._words(line[1:])
        if line[1:2] not in ("", " ", "\t"):
            return
        if letter == "C" and words:
            self._command = words
        elif letter == "F" and words:
            self._files.append(_needed(words))
        elif letter in "UIORM" and words:
            self._keep(letter, words)
        elif letter in ("Z", "N", "n", "B", "e", "E"):
            self._flags.add(letter)

    def _words(self, text: str) -> tuple[str, ...]:
        words = tuple(text.split(" ")) if "\t" not in text else tuple(re.split(r"[ \t]", text))
        words = tuple(word for word in words if word)
        if self._is_quoted:
            words = tuple(_QUOTED.sub(_unescaped, word) for word in words)
        return words

    def _keep(self, letter: str, words: tuple[str, ...]) -> None:
        if any(map(_CONTROL.search, words)):
            raise RemoteProtocolError(f"a control character in line {letter} of an execution file")
        self._values[letter] = words[0]
        self._values[letter + "2"] = words[1] if len(words) > 1 else ""

    def result(self) -> ExecutionFile:
        if not self._command:
            raise RemoteProtocolError("an execution file without a command")
        if any(map(_CONTROL.search, self._command)):
            raise RemoteProtocolError("a control character in the command of an execution file")
        if len(self._files) > MAX_FILES:
            raise RemoteProtocolError("an execution file that needs too many files")
        values, flags = self._values, self._flags
        return ExecutionFile(
            command=self._command,
            user=values.get("U", ""),
            system=values.get("U2", ""),
            input=_checked_input(values.get("I", "")),
            output=_checked_output(values.get("O", ""), values.get("O2", "")),
            output_system=values.get("O2", ""),
            files=tuple(self._files),
            results_to=values.get("R", ""),
            mails_on_failure="Z" in flags,
            mails_on_success="n" in flags,
            mails_never="N" in flags,
            returns_input="B" in flags,
            wants_shell="e" in flags,
        )


def _unescaped(match: re.Match[str]) -> str:
    return "\\" if match[1] == "\\" else to_text(bytes((int(match[1], 8) & 0xFF,)))


def _needed(words: tuple[str, ...]) -> NeededFile:
    file, name = words[0], words[1] if len(words) > 1 else ""
    if isinstance(spool_name(file), Forbidden):
        raise RemoteProtocolError(f"an execution needs {printable(file[:60])}")
    # Taylor puts the file anywhere that the second name leads to.
    if name and (name.startswith(".") or "/" in name or _CONTROL.search(name) or len(name) > 255):
        raise RemoteProtocolError(f"an execution calls a file {printable(name[:60])}")
    return NeededFile(file, name)


def _checked_input(file: str) -> str:
    if is_spool_like(file) and isinstance(spool_name(file), Forbidden):
        raise RemoteProtocolError(f"an execution reads {printable(file[:60])}")
    return file


def _checked_output(file: str, system: str) -> str:
    # On the system that asks, a spool name is its own matter; here it would overwrite others' jobs.
    if is_spool_like(file) and not system:
        raise RemoteProtocolError(f"an execution writes to {printable(file[:60])}")
    return file


def format_execution(execution: ExecutionFile) -> bytes:
    """The content of an execution file, in Taylor's order of lines."""
    words = (execution.user, execution.system, execution.results_to, *execution.command)
    is_quoted = any(map(_TO_QUOTE.search, words))
    lines = list(_lines(execution))
    if is_quoted:
        lines = [(letter, *map(_quote, words)) for letter, *words in lines]
        lines.insert(0, ("Q",))
    return to_bytes("".join(" ".join(line) + "\n" for line in lines))


def _lines(execution: ExecutionFile) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [("U", execution.user, execution.system)]
    for needed in execution.files:
        lines.append(("F", needed.file, needed.name) if needed.name else ("F", needed.file))
    if execution.input:
        lines.append(("I", execution.input))
    if execution.output:
        output = ("O", execution.output, execution.output_system)
        lines.append(output if execution.output_system else output[:2])
    if execution.results_to:
        lines.append(("R", execution.results_to))
    lines.append(("C", *execution.command))
    flags = {
        "N": execution.mails_never,
        "n": execution.mails_on_success,
        "Z": execution.mails_on_failure,
        "B": execution.returns_input,
        "e": execution.wants_shell,
    }
    return lines + [(letter,) for letter, is_set in flags.items() if is_set]


def _quote(word: str) -> str:
    return _TO_QUOTE.sub(
        lambda match: "\\\\" if match[0] == "\\" else f"\\{ord(match[0]):03o}", word
    )
