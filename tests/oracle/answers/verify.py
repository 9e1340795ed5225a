"""Kind `verify`: what `sendmail -bv` prints.

The lists that aliases include lie below /oracle/l on the recorded machine; here they lie in the
site's folder, and their names are put back before lines are compared.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from typing import Any

from relaynode.sources.verify import verify
from relaynode.tables.aliases import parse_aliases

RECORDED_LISTS = "/oracle/l"
OURSELVES = pwd.getpwuid(os.getuid()).pw_name
"""Who reads the lists of aliases: they lie in a folder of whoever runs this."""


def answer(site: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Exit code and lines, which sendmail prints in no order that matters."""
    return printed(site, expander_of(site, case), case["input"])


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """The same as recorded."""
    return {"rc": case["expect"]["rc"], "lines": sorted(case["expect"]["lines"])}


def printed(site: Any, expander: Any, words: str) -> dict[str, Any]:
    """What we print for one word of the command line, in the recorded machine's file names."""
    verified = verify(expander, [words])
    lines = [_as_recorded(site, line) for line in verified.lines]
    return {"rc": verified.exit_code, "lines": sorted(lines)}


def _as_recorded(site: Any, line: str) -> str:
    return line.replace(str(_lists(site)), RECORDED_LISTS).replace(str(site.homes), "/home")


def expander_of(site: Any, case: dict[str, Any]) -> Any:
    """The site's expander, with the aliases that were in force for the case."""
    expander = site.rules.expander
    expander = replace(expander, locals=replace(expander.locals, default_user=OURSELVES))
    text = aliases_text(site, case)
    if text is None:
        return expander
    text = text.replace(RECORDED_LISTS, str(install_lists(site)))
    aliases, _ = parse_aliases(text, str(site.tables / "aliases"))
    return replace(expander, aliases=aliases)


def aliases_text(site: Any, case: dict[str, Any]) -> str | None:
    """The aliases of the newaliases case that a case names, or None for the site's own."""
    name = case.get("aliases_set")
    return as_read(site.recorded["alias_sets"][name]) if name else None


def as_read(text: str) -> str:
    """The recorder took bytes for Latin-1; our tables are read as UTF-8."""
    return text.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def _lists(site: Any) -> Any:
    return site.tables.parent / "lists"


def install_lists(site: Any) -> Any:
    """The folder of the lists that aliases include, made once."""
    folder = _lists(site)
    if not folder.exists():
        folder.mkdir()
        for name, text in site.recorded.get("include_files", {}).items():
            (folder / name).write_text(text.replace(RECORDED_LISTS, str(folder)))
    return folder
