"""Calls between two nodes in the middle of which one of them is killed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from peers.processes import Process, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.uucp_lines import BreakingLine
    from uucp_node import UucpNode

_END_SECONDS = 60


def call_and_kill(
    nodes: tuple[UucpNode, UucpNode],
    line: BreakingLine,
    place: tuple[str, int],
    *,
    kills_caller: bool,
    afterwards: Callable[[], object] = lambda: None,
) -> None:
    """A call over `line` from the first node to the second, beta, whose daemon answers; one of them
    is killed at `place`, as in BreakingLine. `afterwards`: done before the daemon is stopped."""
    caller, called = nodes
    with called.daemon() as daemon:
        calling = Process(
            caller.command("call", "beta", "--verbose"),
            log=caller.folder / "call.log",
            environment=caller.environment,
        )
        victim = calling if kills_caller else daemon.process
        before = len(line.passages)
        is_cut = threading.Event()

        def kill() -> None:
            victim.kill()
            is_cut.set()

        line.on_cut = kill
        line.next_cut = place
        try:
            assert is_cut.wait(_END_SECONDS), "so much never went over the line"
            assert wait_until(lambda: not calling.is_running, _END_SECONDS), "it does not end"
            assert line.passages[before].is_over.wait(_END_SECONDS)
            afterwards()
        finally:
            calling.stop()
