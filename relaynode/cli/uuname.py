"""`uuname`: the names of the UUCP systems we know, one a line.

uuname       each neighbour        -a   with its other names        -l   our own name
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.cli.uu_options import Option, Parser, ended
from relaynode.errors import EX_OK
from relaynode.neighbours import load_neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.neighbours import Neighbours

_OPTIONS = (
    Option("a", "aliases", "display aliases"),
    Option("l", "local", "print local name"),
)


def main(words: Sequence[str], program: str = "uuname") -> int:
    """Run as `program`; the exit code: 0, or 1 for whatever went wrong."""
    return ended(program, lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    parser = Parser(program, "[-a] [-l] [-I file]", _OPTIONS)
    given = parser.parse(words)
    if given.words:
        raise parser.wrong()
    neighbours = load_neighbours(given.config())
    if "local" in given:
        print(neighbours.our_name)
        return EX_OK
    for name in names(neighbours, with_aliases="aliases" in given):
        print(name)
    return EX_OK


def names(neighbours: Neighbours, *, with_aliases: bool) -> Iterator[str]:
    """The names, in the order of the configuration."""
    for one in neighbours:
        yield from one.names if with_aliases else [one.name]
