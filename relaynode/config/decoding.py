"""Typed sections out of what TOML has: one value at a time, so that one mistake does not hide the
next."""

from __future__ import annotations

import difflib
import re
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from relaynode.config import schema
from relaynode.config.values import HostPort, HostPorts

if TYPE_CHECKING:
    from typing import Protocol

    class Report(Protocol):
        """Told what is wrong at a key, and what to do."""

        def __call__(self, path: tuple[str, ...], text: str, remedy: str = "") -> None: ...


class Decoder:
    """`report`: told of each mistake."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def section(self, kind: type[msgspec.Struct], data: Any, path: tuple[str, ...]) -> Any:
        """A struct out of a table; a wrong value that has a default gives way to it, so that the
        rest can be checked. None when a required one is missing or wrong."""
        if not isinstance(data, dict):
            self._report(path, f"{_shown(path)} must be a table", f"write [{_shown(path)}]")
            return None
        fields = {info.encode_name: info for info in msgspec.structs.fields(kind)}
        self._report_unknown_keys(data, list(fields), path)
        values = {}
        is_good = True
        for key, info in fields.items():
            value = self._value(info.type, data[key], (*path, key)) if key in data else None
            if value is not None:
                values[info.name] = value
            elif info.required:
                is_good = False
                if key not in data:
                    self._report(path, f"[{_shown(path)}] lacks {key}", _wanted(info.type))
        return kind(**values) if is_good else None

    def _report_unknown_keys(
        self, data: dict[str, Any], known: list[str], path: tuple[str, ...]
    ) -> None:
        for key in data:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                remedy = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
                what = f"unknown key {key} in [{_shown(path)}]"
                self._report((*path, key), what if path else f"unknown table [{key}]", remedy)

    def _value(self, kind: Any, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.section(kind, value, path)
        if get_origin(kind) is dict and get_args(kind)[1] is not str:
            if not isinstance(value, dict):
                self._report(path, f"[{path[0]}] must have named tables", f"[{path[0]}.isp]")
                return None
            section = get_args(kind)[1]
            named = {key: self.section(section, item, (*path, key)) for key, item in value.items()}
            return {key: item for key, item in named.items() if item is not None}
        try:
            return _convert(value, kind)
        except (msgspec.ValidationError, ValueError) as error:
            text = re.sub(r" - at `.*`$", "", str(error))
            self._report(path, f"{_shown(path)}: {_plain(text)}", _wanted(kind))
            return None


def _convert(value: Any, kind: Any) -> Any:
    """`value` as `kind`: by its own `parse` where it has a grammar of its own, else by msgspec."""
    if get_origin(kind) is list and hasattr(get_args(kind)[0], "parse"):
        return [_convert(item, get_args(kind)[0]) for item in msgspec.convert(value, list[str])]
    alternatives = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if hasattr(alternatives[0], "parse_any"):
        return alternatives[0].parse_any(value)
    parse = getattr(alternatives[0], "parse", None)
    if isinstance(value, list) and hasattr(alternatives[0], "of"):
        return alternatives[0].of(msgspec.convert(value, list[str]))
    if parse is not None:
        return parse(msgspec.convert(value, str))
    if alternatives[0] is Path:
        return _path(msgspec.convert(value, str))
    return msgspec.convert(value, kind)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("wants the name of a file or folder")
    return Path(text)


def _shown(path: tuple[str, ...]) -> str:
    return ".".join(path)


_TYPE_NAMES = {
    "`str`": "a text in quotes",
    "`int`": "a whole number",
    "`bool`": "true or false",
    "`array`": "a list in [ ]",
    "`object`": "a table",
    "`float`": "a number",
}


_PATTERNS = {
    schema.PROTOCOLS: "wants letters of protocols: i t e g G v f j y a",
    schema.SYSTEM_NAME: "wants a name of letters, digits and . _ + -",
    schema.MAIL_DOMAIN: "wants a domain",
    schema.FIELD_NAME: 'wants the name of a header field, or ""',
    schema.ETRN_NAME: "wants a domain, @domain (with all below it) or #queue",
    schema.GRADE: "wants a grade: one of 0-9 (the best), A-Z, a-z",
    schema.WORD: "wants one word without blanks",
    schema.FILE_NAME: "wants a name of letters, digits and . _ : @ + -",
}


def _plain(text: str) -> str:
    """msgspec's words in a user's."""
    if text.startswith("Invalid enum value"):
        return f"{text.removeprefix('Invalid enum value ')} is not accepted"
    for pattern, wanted in _PATTERNS.items():
        if f"matching regex '{pattern}'" in text:
            return wanted
    if "matching regex" in text:
        return 'wants a name without blanks or any of < > @ , ; : "'
    text = text.replace(" | null", "").replace("Expected ", "wants ", 1)
    for name, plain in _TYPE_NAMES.items():
        text = text.replace(name, plain)
    return text


def _wanted(kind: Any) -> str:
    """What would be right, where the type alone tells."""
    if get_origin(kind) is not None and get_args(kind) and isinstance(get_args(kind)[0], str):
        return "accepted: " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    if kind in (HostPort, HostPorts):
        return 'write for example "mail.example.net:587"'
    return ""
