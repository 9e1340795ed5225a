"""Kind `newaliases`: what it prints, its exit code, and what is in the database afterwards."""

from __future__ import annotations

from typing import Any

from oracle.answers.verify import as_read
from relaynode.tables.aliases import is_warning, parse_aliases

FILE = "ALIASES"
_END_MARK = "@:@"


def answer(site: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Exit code, lines and entries."""
    is_ours = site.rules.routing.is_local
    aliases, problems = parse_aliases(as_read(case["aliases"]), FILE, is_ours)
    lines = [f"{problem.file}: line {problem.line}: {problem.text}" for problem in problems]
    tally = aliases.tally
    lines.append(
        f"{FILE}: {tally.entries} aliases, longest {tally.longest_bytes} bytes,"
        f" {tally.total_bytes} bytes total"
    )
    database = [f"{entry.key}:{entry.value}" for entry in aliases.entries.values()]
    return {
        "rc": 0 if all(map(is_warning, problems)) else 70,
        "stdout": "".join(f"{line}\n" for line in lines),
        "database": sorted([_END_MARK, *database]),
    }


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """The same as recorded."""
    recorded = case["expect"]
    return {
        "rc": recorded["rc"],
        "stdout": recorded["stdout"],
        "database": sorted(as_read(line) for line in recorded["database"]),
    }
