"""How the daemon's log lines are made: cheaply, since every message has some."""

from __future__ import annotations

import logging
import time


class TimedLines(logging.Formatter):
    """`2026-11-22 16:37:25,042 text`, the time written out once a second."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s")
        self._second = -1
        self._text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """See logging.Formatter."""
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._text},{int(record.msecs):03}"


def leave_out_unused() -> None:
    """No line of ours names a thread, a process or the place in the source that it comes from, so
    nobody shall look for them (logging HOWTO, "Optimization")."""
    logging._srcfile = None
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False
