"""relay-domains: for which domains and clients mail is passed on (sendmail's class R).

    # a comment
    customer.example
    198.51.100

One name a line. A domain stands for itself and all below it, as recipient and as client; digits
are the first octets of a client's address (`IPv6:2001:db8` the first groups).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RelayDomains:
    """The names in lower case, each with its line (0: it stands elsewhere). `file`: its name."""

    file: str
    lines: Mapping[str, int]


def parse_relay_domains(text: str, file: str) -> tuple[RelayDomains, list[Problem]]:
    """The names and what was wrong: of a line with several words the first counts."""
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        name = words[0].lower()
        lines.setdefault(name, number)
        if len(words) > 1:
            what = f'"{line.strip()}" is more than one name'
            problems.append(Problem(file, number, what, "only the first counts: one name a line"))
        if "/" in name or (name.endswith(".") and not name[0].isdigit()):
            fitting = name.rstrip(".") if "/" not in name else "10.1 for 10.1.0.0/16"
            problems.append(Problem(file, number, f"{name} never matches", f"write {fitting}"))
    return RelayDomains(file, lines), problems


def format_relay_domains(table: RelayDomains) -> str:
    """A text that `parse_relay_domains` reads as `table`, but for empty lines and comments."""
    return "".join(f"{name}\n" for name in table.lines)
