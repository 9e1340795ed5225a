"""What uux and uucp leave running without a daemon: calls to neighbours that there is work for.

    python -m relaynode.cli.uu_calling CONFIG NEIGHBOUR ...

A neighbour is called only if its link is up, its times allow it and it is not too early after a
failed call. Nobody reads what is printed here: the log tells how it went.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.rights import load_and_step_down
from relaynode.errors import EX_OK, RelaynodeError
from relaynode.node import is_up, make_node

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.node import Node


async def call_all(config: Config, names: list[str]) -> None:
    """Call them at the same time. Raises: StoreError."""
    node = make_node(config)
    try:
        await asyncio.gather(*(_call(node, name) for name in names))
    finally:
        await node.close()


async def _call(node: Node, name: str) -> None:
    neighbour = node.neighbours.find(name)
    if neighbour is None or not neighbour.ways:
        return
    with contextlib.suppress(RelaynodeError):
        link = neighbour.link
        if await is_up(node, link) and name in await node.links.due_calls(link):
            await node.links.call(name)


def main() -> int:
    """The exit code is for nobody in particular."""
    place, *names = sys.argv[1:]
    with contextlib.suppress(RelaynodeError):
        asyncio.run(call_all(load_and_step_down(Path(place) if place else None), names))
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
