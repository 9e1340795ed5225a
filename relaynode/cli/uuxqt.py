"""`uuxqt`: run what neighbours asked for, as far as it is due (uucico/executor.py).

Sessions do that by themselves when they end; this is for what was left, and for scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.cli.deliver import start_in_background
from relaynode.cli.opened import in_node
from relaynode.cli.uu_options import Option, Parser, Refused, ended
from relaynode.errors import EX_OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.node import Node
    from relaynode.queue.uucp.model import Execution

_OPTIONS = (
    Option("c", "command", "Only executions of this command", "cmd"),
    Option("s", "system", "Only what this system asked for", "system"),
)


def main(words: Sequence[str], program: str = "uuxqt") -> int:
    """Run as `program`; the exit code: 0, or 1 for whatever went wrong."""
    return ended(program, lambda: _run(words, program))


def _run(words: Sequence[str], program: str) -> int:
    parser = Parser(program, "[-c,--command cmd] [-s,--system system]", _OPTIONS)
    given = parser.parse(words)
    if given.words:
        raise parser.wrong()
    command, system = given.last("command"), given.last("system")

    async def work(node: Node) -> int:
        neighbour = node.neighbours.find(system) if system else None
        if system and neighbour is None:
            raise Refused(f"{system}: System not found")

        def is_wanted(execution: Execution) -> bool:
            new = execution.new
            is_its = neighbour is None or new.neighbour == neighbour.name
            return is_its and command in ("", new.command[0])

        queued: list[str] = []
        node.intake.on_queued = lambda queue_id, _: queued.append(queue_id)
        count = await node.executor.run_due(is_wanted)
        if queued:
            start_in_background(node.config)
        return count

    in_node(given.config(with_secrets=True), work)
    return EX_OK
