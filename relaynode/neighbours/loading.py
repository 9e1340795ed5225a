"""The neighbours of a configuration: those of relaynode.toml, then those of Taylor's files.

Where both name a system, relaynode.toml counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.config.taylor import Taylor, read_taylor
from relaynode.neighbours.from_taylor import TaylorNeighbours
from relaynode.neighbours.from_toml import TomlNeighbours
from relaynode.neighbours.neighbours import Neighbours
from relaynode.neighbours.usual import usual_locks

if TYPE_CHECKING:
    from relaynode.config.loader import Config


def load_neighbours(config: Config) -> Neighbours:
    """Read them. Never raises: what is wrong with Taylor's files is in `problems`."""
    section = config.file.uucp
    taylor = Taylor(Path())
    if section.taylor is not None:
        taylor = read_taylor(config.absolute(section.taylor))
    spool = _folder(config, section.spool) or config.spool / "uucp"
    public = _folder(config, section.public) or taylor.public or config.spool / "uucppublic"
    our_name = section.nodename or taylor.nodename or config.hostname.partition(".")[0]
    own = TomlNeighbours(config, our_name, public)
    theirs = TaylorNeighbours(taylor, our_name, public, section.min_free_bytes)
    named = {neighbour.name for neighbour in own.all}
    return Neighbours(
        our_name=our_name,
        spool=spool,
        public=public,
        locks=_folder(config, section.locks) or taylor.locks or usual_locks(spool),
        log=_folder(config, section.log) or spool / "Log",
        stats=_folder(config, section.stats) or spool / "Stats",
        all=(*own.all, *(one for one in theirs.all if one.name not in named)),
        stranger=theirs.stranger,
        passwords={**taylor.passwords, **own.passwords},
        restricted=theirs.restricted,
        strips_login=taylor.strips_login,
        strips_handshake=taylor.strips_handshake,
        problems=(*taylor.problems, *theirs.problems),
    )


def _folder(config: Config, named: Path | None) -> Path | None:
    return None if named is None else config.absolute(named)
