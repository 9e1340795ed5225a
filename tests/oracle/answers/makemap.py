"""Kind `makemap`: which lines of a table are good, and what is said about the others.

We read the text itself, so there is no makemap to run; its lines are what our problems amount to.
"""

from __future__ import annotations

import re
from typing import Any

from relaynode.tables.keyed import parse_keyed

_FILE = "mm"
_EX_DATAERR = 65

_IN_ITS_WORDS = (
    (re.compile(r"(leading space)"), "syntax error ({})"),
    (re.compile(r"no value for (.*)"), "no RHS for LHS {}"),
    (re.compile(r"(.*) stands in line .* already"), "key {}: duplicate key"),
)
"""With the key as it goes into the map, in lower case; we show it as it was written."""


def answer(site: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Exit code, complaints and entries."""
    entries, problems = parse_keyed(case["input"], _FILE)
    return {
        "out": f"rc={_EX_DATAERR if problems else 0}\n",
        "stderr": "".join(_complaint(problem) for problem in problems),
        "dump": sorted(f"{entry.key}\t{entry.value}" for entry in entries.values()),
    }


def _complaint(problem: Any) -> str:
    for pattern, words in _IN_ITS_WORDS:
        found = pattern.fullmatch(problem.text)
        if found:
            said = words.format(found[1].lower())
            return f"makemap: {problem.file}: line {problem.line}: {said}\n"
    return f"makemap: {problem}\n"


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """The same as recorded; the order of a hash means nothing."""
    recorded = case["expect"]
    dump = recorded["dump"].splitlines()
    return {"out": recorded["out"], "stderr": recorded["stderr"], "dump": sorted(dump)}
