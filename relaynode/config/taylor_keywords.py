"""What Taylor's keywords take: tables of keywords, and the settings that lines add up to.

A file's module has a table that says for each keyword how its arguments are read and under which
key the value is kept. A wrong or unknown line becomes a problem; the rest of the file still counts,
where Taylor's own programs would stop.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaynode.config.taylor_reader import boolean, number
from relaynode.config.uucp_values import LETTERS, ChatScript
from relaynode.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relaynode.config.taylor_reader import Line

Settings = dict[str, Any]
"""Values by key, only those that were written."""


class Problems:
    """The problems of one file, as they are found."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, line: int | None, text: str, remedy: str = "") -> None:
        """Note one."""
        self.found.append(Problem(str(self.file), line, text, remedy))


@dataclass(frozen=True, slots=True)
class Keyword:
    """How one keyword is read.

    `parse`: makes a value of the arguments, or raises ValueError. `keys`: where it is kept.
    `adds_up`: several lines make a list. `is_ignored`: known, and without a meaning here.
    """

    parse: Callable[[Sequence[str]], Any]
    keys: tuple[str, ...]
    adds_up: bool = False
    is_ignored: bool = False


@dataclass(slots=True)
class Table:
    """The keywords of one kind of entry."""

    what: str
    keywords: Mapping[str, Keyword] = field(default_factory=dict)

    def take(self, line: Line, settings: Settings, problems: Problems) -> None:
        """Put a line's value where it belongs, or note what is wrong with it."""
        keyword = self.keywords.get(line.keyword)
        if keyword is None:
            close = difflib.get_close_matches(line.keyword, self.keywords, n=1)
            remedy = f"did you mean {close[0]}?" if close else ""
            problems.add(line.number, f"unknown keyword {line.words[0]} {self.what}", remedy)
            return
        if keyword.is_ignored:
            return
        try:
            value = keyword.parse(line.arguments)
        except ValueError as error:
            problems.add(line.number, f"{line.keyword}: {error}")
            return
        for key in keyword.keys:
            if keyword.adds_up:
                settings[key] = (*settings.get(key, ()), value)
            else:
                settings[key] = value


def parameter(line: Line, settings: Settings, problems: Problems) -> None:
    """protocol-parameter LETTER NAME [VALUE...]: kept by letter, as one letter's in an entry
    replace all that the defaults have for it."""
    if len(line.arguments) < 2 or len(line.arguments[0]) != 1:
        problems.add(line.number, f"{line.keyword}: write {line.keyword} LETTER NAME VALUE")
        return
    letter, name, *values = line.arguments
    kept = settings.setdefault(f"protocol-parameter {letter}", {})
    kept[name.lower()] = " ".join(values) or "y"  # a flag may stand alone


def parameters_of(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """All that were kept, by letter."""
    return {
        key.removeprefix("protocol-parameter "): dict(value)
        for key, value in settings.items()
        if key.startswith("protocol-parameter ")
    }


# --- kinds of arguments


def text(words: Sequence[str]) -> str:
    """One word, or none. Raises: ValueError."""
    if len(words) > 1:
        raise ValueError(f"takes one word, and {len(words)} are written")
    return words[0] if words else ""


def name(words: Sequence[str]) -> str:
    """One word. Raises: ValueError."""
    if len(words) != 1:
        raise ValueError(f"takes one word, and {len(words) or 'none'} {_are(words)} written")
    return words[0]


def _are(words: Sequence[str]) -> str:
    return "are" if len(words) > 1 else "is"


def texts(words: Sequence[str]) -> tuple[str, ...]:
    """Any number of words."""
    return tuple(words)


def paths(words: Sequence[str]) -> tuple[Path, ...]:
    """Any number of files or folders."""
    return tuple(Path(word) for word in words)


def path(words: Sequence[str]) -> Path:
    """A file or folder. Raises: ValueError."""
    return Path(name(words))


def flag(words: Sequence[str]) -> bool:
    """Yes or no. Raises: ValueError."""
    return boolean(name(words))


def whole(words: Sequence[str]) -> int:
    """A number. Raises: ValueError."""
    return number(name(words))


def letters(words: Sequence[str]) -> str:
    """Protocols in order; those we do not know are passed over."""
    return "".join(letter for letter in text(words) if letter in LETTERS)


def said(parse: Callable[[Sequence[str]], Any], *keys: str, adds_up: bool = False) -> Keyword:
    """A keyword."""
    return Keyword(parse, keys, adds_up=adds_up)


def ignored() -> Keyword:
    """A keyword that is known and means nothing here."""
    return Keyword(texts, (), is_ignored=True)


# --- chat scripts


def chat_keywords(prefix: str = "") -> dict[str, Keyword]:
    """The five keywords of a chat script: `chat`, or `called-chat`, `complete-chat` ..."""
    chat = f"{prefix}chat"
    return {
        chat: said(texts, chat),
        f"{chat}-timeout": said(whole, f"{chat}-timeout"),
        f"{chat}-fail": said(name, f"{chat}-fail", adds_up=True),
        f"{chat}-seven-bit": said(flag, f"{chat}-seven-bit"),
        f"{chat}-program": said(texts, f"{chat}-program"),
    }


def chat_of(settings: Mapping[str, Any], prefix: str, default: ChatScript) -> ChatScript:
    """The chat script that settings say, and `default` where they say nothing."""
    chat = f"{prefix}chat"
    return ChatScript(
        words=settings.get(chat, default.words),
        timeout_seconds=settings.get(f"{chat}-timeout", default.timeout_seconds),
        fails=settings.get(f"{chat}-fail", default.fails),
        is_seven_bit=settings.get(f"{chat}-seven-bit", default.is_seven_bit),
        program=settings.get(f"{chat}-program", default.program),
    )
