"""`relaynode check`: all that is wrong with configuration and tables, at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from relaynode.config.loader import find, load, search_path
from relaynode.errors import EX_CONFIG, EX_OK
from relaynode.tables.loader import Tables

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, whose text is the list."""
    path = find(arguments.config)
    config = load(path)
    problems = Tables(config.tables).problems()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return EX_CONFIG
    if path is None:
        places = ", ".join(str(place) for place in search_path())
        print(f"no configuration file ({places}); the defaults are in force")
    print(f"{path or 'defaults'}: ok (spool {config.spool}, tables {config.tables})")
    return EX_OK
