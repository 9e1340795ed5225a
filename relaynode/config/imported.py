"""What an importer of somebody else's configuration hands back: settings, their TOML, and notes.

The importers themselves are one file each (sendmail_mc). Nothing in the file they read is dropped
silently: it becomes a setting or a note.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from relaynode.config import schema
from relaynode.errors import Problem

_WIDTH = 100
_COMMENT_COLUMN = 40


class NoteKind(Enum):
    """What a note says about something in the imported file."""

    NOT_UNDERSTOOD = "not understood"
    DIFFERS = "differs"
    HARMLESS = "needs no setting"


@dataclass(frozen=True, slots=True)
class Note(Problem):
    """One thing that became no setting, or not quite the same."""

    kind: NoteKind = NoteKind.NOT_UNDERSTOOD


@dataclass(frozen=True, slots=True)
class Imported:
    """The outcome. `settings` is nested as in relaynode.toml, `toml` is its text."""

    settings: dict[str, Any]
    toml: str
    notes: list[Note]

    @property
    def not_understood(self) -> list[Note]:
        """What the importer could make nothing of."""
        return [note for note in self.notes if note.kind is NoteKind.NOT_UNDERSTOOD]


@dataclass(slots=True)
class Gathering:
    """Settings and notes while a file is gone through. `file` is named in the notes."""

    file: str
    settings: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    _origins: dict[tuple[tuple[str, ...], str], list[str]] = field(default_factory=dict)
    _comments: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def set(self, section: str | tuple[str, ...], key: str, value: Any, origin: str = "") -> None:
        """Set a key; the last one counts. `section` may be `listen.lan`, or its parts."""
        self._table(section)[key] = value
        self._origins[_path(section), key] = [origin] if origin else []

    def add(self, section: str, key: str, values: list[str], origin: str = "") -> None:
        """Add to a list what it does not hold yet."""
        found = self._table(section).setdefault(key, [])
        found += [value for value in dict.fromkeys(values) if value not in found]
        origins = self._origins.setdefault((_path(section), key), [])
        if origin and origin not in origins:
            origins.append(origin)

    def comment(self, section: str | tuple[str, ...], text: str) -> None:
        """Say something below the head of a section."""
        self._comments.setdefault(_path(section), []).append(text)

    def get(self, section: str, key: str, default: Any = None) -> Any:
        """What a key has been set to so far."""
        return self.settings.get(_path(section), {}).get(key, default)

    def differs(self, line: int | None, text: str, remedy: str = "") -> None:
        """Note something that works otherwise here, or not at all."""
        self.notes.append(Note(self.file, line, text, remedy, NoteKind.DIFFERS))

    def harmless(self, line: int | None, text: str) -> None:
        """Note something that needs no setting."""
        self.notes.append(Note(self.file, line, text, "", NoteKind.HARMLESS))

    def not_understood(self, line: int | None, text: str, remedy: str = "") -> None:
        """Note something that nothing is known about."""
        self.notes.append(Note(self.file, line, text, remedy, NoteKind.NOT_UNDERSTOOD))

    def finish(self, head: str) -> Imported:
        """The outcome; `head` becomes the comment at the top of the TOML."""
        # Filters are asked in the order in which they stand there.
        tables = sorted(
            self.settings,
            key=lambda path: (_place(schema.File, path[0]), () if path[0] == "milter" else path),
        )
        settings: dict[str, Any] = {}
        for path in tables:
            inner = settings
            for name in path:
                inner = inner.setdefault(name, {})
            inner.update(self.settings[path])
        text = "\n".join([f"# {head}", *(self._written(path) for path in tables)]) + "\n"
        notes = sorted(self.notes, key=lambda note: note.line or 0)
        return Imported(settings, text, notes)

    def _table(self, section: str | tuple[str, ...]) -> dict[str, Any]:
        return self.settings.setdefault(_path(section), {})

    def _written(self, path: tuple[str, ...]) -> str:
        kind = _section_type(path[0])
        values = self.settings[path]
        lines = ["", f"[{'.'.join(map(_name, path))}]"]
        lines += [f"# {text}" for text in self._comments.get(path, ())]
        for key in sorted(values, key=lambda key: _place(kind, key)):
            origin = ", ".join(self._origins.get((path, key), []))
            lines.append(_key_line(key, values[key], origin))
        return "\n".join(lines)


def _path(section: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(section.split(".")) if isinstance(section, str) else section


def _name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _key_line(key: str, value: Any, origin: str) -> str:
    text = f"{key} = {_toml(value)}"
    if len(text) > _WIDTH and isinstance(value, list):
        items = "".join(f"    {_toml(item)},\n" for item in value)
        text = f"{key} = [\n{items}]"
        return f"# {origin}\n{text}" if origin else text
    return f"{text:<{_COMMENT_COLUMN}}  # {origin}" if origin else text


def _toml(value: Any) -> str:
    """A value in TOML, whose basic strings, numbers and booleans are JSON's (but for DEL)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_name(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section_type(name: str) -> Any:
    kind = _types(schema.File)[name]
    return kind if isinstance(kind, type) else kind.__args__[1]


def _types(kind: Any) -> dict[str, Any]:
    return {info.encode_name: info.type for info in msgspec.structs.fields(kind)}


def _place(kind: Any, key: str) -> int:
    """Where a key stands in the schema: that order is the one to read."""
    return list(_types(kind)).index(key)
