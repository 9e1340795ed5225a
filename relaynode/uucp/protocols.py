"""The line protocols by their letters, and which of them fit a connection.

A protocol is loaded when it is used: a call needs one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.uucp.line import Line, Settings

_HOMES = {
    "t": ("t", "LineT"),
    "e": ("e", "LineE"),
    "i": ("i", "LineI"),
    "g": ("g", "LineG"),
    "G": ("g", "LineCapitalG"),
    "j": ("j", "LineJ"),
    "f": ("f", "LineF"),
    "v": ("g", "LineV"),
    "y": ("y", "LineY"),
}


@dataclass(frozen=True, slots=True)
class Connection:
    """What a connection carries. `is_end_to_end`: nothing is lost between the two programs."""

    is_end_to_end: bool = False
    is_reliable: bool = True
    is_eight_bit: bool = True


def usual_protocols(connection: Connection) -> str:
    """The letters for a connection, best first.

    i leads, where Taylor has t and e: it sends both ways at once and waits for no answers.
    """
    if not connection.is_eight_bit:
        return "f" if connection.is_reliable else "j"
    if not connection.is_reliable:
        return "iGgvj"
    return "itegGvyf" if connection.is_end_to_end else "iGgvyjf"


def known(letters: str) -> str:
    """Those of the letters that we speak, in their order."""
    return "".join(letter for letter in letters if letter in _HOMES)


def make_ready(letters: str) -> None:
    """Load these protocols now, so that no call on an open line waits for it."""
    for letter in known(letters):
        import_module(f"relaynode.uucp.lines.{_HOMES[letter][0]}")


def make_line(letter: str, settings: Settings) -> Line:
    """The line protocol with this letter.

    Raises: KeyError if there is none; ValueError for parameters that it does not take.
    """
    module, name = _HOMES[letter]
    made = cast(
        "Callable[[Settings], Line]",
        getattr(import_module(f"relaynode.uucp.lines.{module}"), name),
    )
    return made(settings)
