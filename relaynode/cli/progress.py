"""What a person sees of a run: bars on a terminal, and a summary of a few lines at the end.

Under cron, in a hook or a pipe there are no bars; with --quiet there is nothing but trouble.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

SHOW_AFTER_SECONDS = 1.0
"""Bars come up only for runs that last: a quick one ends before anybody could read them."""


class Screen:
    """Shows one run after another. Use as a context manager around each run."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._is_quiet = is_quiet
        self._has_bars = not is_quiet and sys.stderr.isatty()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        self._bars, self._tasks = None, {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def progress(self, summary: dict[str, Any]) -> None:
        """The run has got this far (`Summary.as_json`)."""
        if not self._has_bars or summary["seconds"] < SHOW_AFTER_SECONDS:
            return
        bars = self._bars or self._start()
        sent = summary["sent"] + summary["failed"]
        self._bar(f"out  {sent} sent", None, summary["bytes_out"], "out")
        for poll in summary["polls"]:
            text = f"in   {poll['account']} {poll['fetched']}/{poll['waiting']}"
            self._bar(text, poll["waiting_bytes"] or None, poll["fetched_bytes"], poll["account"])
        for call in summary["calls"]:
            text = f"in   {call['neighbour']} {_files(call)}"
            self._bar(text, None, call["bytes_in"], f"call {call['neighbour']}")
        bars.refresh()

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars.start()
        return self._bars

    def _bar(self, text: str, total: int | None, done: int, key: str) -> None:
        assert self._bars is not None
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(text, total=total)
        self._bars.update(self._tasks[key], description=text, total=total, completed=done)

    def end(self, summary: dict[str, Any]) -> None:
        """The run is over: say what it did."""
        for problem in summary["problems"]:
            print(f"relaynode: {problem}", file=sys.stderr)
        if self._is_quiet:
            return
        print(
            f"{summary['link']}: {summary['sent']} sent, {summary['received']} received,"
            f" {summary['deferred']} deferred, {summary['failed']} failed;"
            f" {summary['bytes_out']} bytes out, {summary['bytes_in']} in,"
            f" {summary['seconds']:.1f} s"
        )
        for call in summary["calls"]:
            print(
                f"  called {call['neighbour']}: {_files(call)};"
                f" {call['bytes_out']} bytes out, {call['bytes_in']} in, {call['seconds']:.1f} s"
            )
        for poll in summary["polls"]:
            if text := _more_of(poll):
                print(f"  {poll['account']}: {text}")
        for asked in summary["asked"]:
            print(
                f"  asked {asked['server']} to send {asked['asked_for']}:"
                f" {asked['code']} {asked['text']}"
            )
        if summary["in_doubt"]:
            print(f"{summary['in_doubt']} of the deferred may have been accepted already")


def _files(call: dict[str, Any]) -> str:
    return f"{call['sent_files']} files out, {call['received_files']} in"


def _more_of(poll: dict[str, Any]) -> str:
    """What there is to say of a visit beside what came; kept mail that is old is nothing new."""
    counts = [("offered, see `relaynode fetch --list`", poll["offered"])]
    counts.append(("fetched before under other names", poll["known_again"]))
    counts += [(f"left: {why}", one) for why, one in poll["left"].items() if why != _USUAL]
    return ", ".join(f"{number} {what}" for what, number in counts if number)


_USUAL = "fetched before"
