"""Reading the numbers of `protocol-parameter LETTER NAME VALUE`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Number(NamedTuple):
    """A parameter: its default and its limits."""

    default: int
    lowest: int
    highest: int


SECONDS_LIMITS = (1, 86400)
"""No time-out is longer than a day."""


def numbers(letter: str, given: Mapping[str, str], known: Mapping[str, Number]) -> dict[str, int]:
    """The value of each known parameter of protocol `letter`.

    Raises: ValueError for a name that is not known and a value that cannot be.
    """
    for name in given:
        if name not in known:
            raise ValueError(f"protocol {letter} has no parameter {name}: " + ", ".join(known))
    return {name: _number(letter, name, given.get(name), kind) for name, kind in known.items()}


def _number(letter: str, name: str, text: str | None, kind: Number) -> int:
    if text is None:
        return kind.default
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    if not is_number or not kind.lowest <= int(text) <= kind.highest:
        limits = f"a number from {kind.lowest} to {kind.highest}"
        raise ValueError(f"protocol {letter}: {name} is {limits}, not {text!r}")
    return int(text)
