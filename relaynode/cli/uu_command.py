"""A command line of uux, read: which system, which words, which files.

    uux - 'beta!rmail' '(bob)'          the words of the command; parentheses keep one as it is
    uux 'beta!lpr' '!notes'             a file of ours, sent along
    uux 'beta!lpr' 'beta!~/notes'       a file at the system that runs the command
    uux 'beta!diff <!old >!~/changes'   standard input and output

As with Taylor's all words are put together and divided at blanks again, for so the neighbour will
do; `<`, `>`, `;`, `|` and `&` are words of their own. What a shell would act upon goes along as it
is: no shell ever sees it here, and the neighbour is told that one was meant (e). Nothing is opened
or looked up here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PARTS = re.compile(r"[<>;|&]|[^\s<>;|&]+")
_SHELL = re.compile(r"[\"'`*?\[\]<>|;&()\\$\n]")
"""What makes Taylor's uux say that the command is for a shell."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Senseless(ValueError):
    """A command that cannot be. str(): why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file as it was written: `system!path`. `system`: "" for ours."""

    system: str
    path: str


@dataclass(frozen=True, slots=True)
class ReadCommand:
    """`system`: who is to run it. `name`: the command. `arguments`: as they are, or files."""

    system: str
    name: str
    arguments: tuple[str | Place, ...]
    input: Place | None = None
    output: Place | None = None
    wants_shell: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    is_kept: bool = False


def read_command(words: list[str]) -> ReadCommand:
    """The command that these arguments of uux mean. Raises: Senseless."""
    found = _divided(" ".join(words))
    if not found:
        raise Senseless("no command")
    system, name = _system_and_name(found[0].text)
    reader = _Reader(found[1:])
    reader.read()
    given = (name, *(one for one in reader.arguments if isinstance(one, str)))
    return ReadCommand(
        system,
        name,
        tuple(reader.arguments),
        reader.places.get("<"),
        reader.places.get(">"),
        wants_shell=any(map(_SHELL.search, given)),
    )


def _divided(text: str) -> list[_Word]:
    if _CONTROL.search(text):
        raise Senseless("a control character in the command")
    return [word for part in text.split() for word in _parts(part)]


def _parts(part: str) -> list[_Word]:
    if not part.startswith("("):
        return [_Word(one) for one in _PARTS.findall(part)]
    if not part.endswith(")"):
        raise Senseless(f"Mismatched parentheses in {part}: what they hold must be one word")
    return [_Word(part[1:-1], is_kept=True)] if part[1:-1] else []


def _system_and_name(text: str) -> tuple[str, str]:
    system, bang, name = text.partition("!")
    if not bang:
        return "", text
    if "!" in name:
        raise Senseless(f"{text}: a command goes to one system, not over several")
    if not name:
        raise Senseless(f"{text}: no command")
    return system, name


class _Reader:
    """Takes the words behind the command."""

    def __init__(self, words: list[_Word]) -> None:
        self._words = words
        self.arguments: list[str | Place] = []
        self.places: dict[str, Place] = {}

    def read(self) -> None:
        words = iter(self._words)
        for word in words:
            if word.is_kept:
                self.arguments.append(word.text)
            elif word.text in ("<", ">"):
                self._redirect(word.text, next(words, None))
            else:
                self.arguments.append(_place(word.text) if "!" in word.text else word.text)

    def _redirect(self, sign: str, word: _Word | None) -> None:
        if word is None or word.text in ("<", ">", ";", "|", "&"):
            raise Senseless(f"no file behind {sign}")
        if sign in self.places:
            which = "input" if sign == "<" else "output"
            raise Senseless(f"Standard {which} specified twice")
        self.places[sign] = _place(word.text) if "!" in word.text else Place("", word.text)


def _place(text: str) -> Place:
    system, _, path = text.partition("!")
    if "!" in path:
        raise Senseless(f"{text}: a file at a system that is not known to us")
    if not path:
        raise Senseless(f"{text}: no file")
    return Place(system, path)
