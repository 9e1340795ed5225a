"""`simulate`: what would become of the mail of a trace, with this configuration."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from relaynode.config.loader import find, load
from relaynode.errors import EX_OK, InputError, TraceError
from relaynode.links import hours
from relaynode.links.simulation import plan_of
from relaynode.simulate.report import report, run_values
from relaynode.simulate.simulator import simulate
from relaynode.simulate.trace import Reader

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from relaynode.config.loader import Config
    from relaynode.simulate.events import Trace
    from relaynode.simulate.outcome import RunRecord

MOST_TRACE_BYTES = 16 * 1024 * 1024


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, InputError, TraceError, TableError."""
    config = load(find(arguments.config), with_secrets=False)
    trace, has_end = _read(arguments.trace, config)

    outcome = simulate(plan_of(config), trace, has_end=has_end)
    shown = report(outcome)
    if arguments.json:
        runs = [run_values(one) for one in outcome.runs]
        print(json.dumps({**shown, "link_runs": runs}, indent=2))
        return EX_OK
    if arguments.verbose:
        print("\n".join([_RUN_TITLE, *map(_run_line, outcome.runs), ""]))
    print("\n".join(_lines(shown)))
    return EX_OK


def _read(path: Path, config: Config) -> tuple[Trace, bool]:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_TRACE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{path}: {reason}") from error
    if len(text) > MOST_TRACE_BYTES:
        raise InputError(f"{path}: too large for a trace")
    reader = Reader(str(path), hours.local_offset, config.links, config.file.account)
    trace = reader.read(text)
    if reader.problems:
        raise TraceError(reader.problems)
    return trace, reader.has_end


# --- for people

_RUN_TITLE = (
    f"{'began':<19} {'link':<10} {'seconds':>9} {'out':>11} {'in':>11} {'sent':>5} {'fetched':>7}"
    f" {'cost':>8}  ended"
)


def _run_line(one: RunRecord) -> str:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.began_at))
    return (
        f"{began} {one.link:<10} {one.seconds:>9.1f} {one.bytes_out:>11,.0f} {one.bytes_in:>11,.0f}"
        f" {one.sent:>5} {one.received:>7} {one.cost:>8.2f}  {one.ended}"
    )


_DELAY_TITLE = (
    f"{'delays':<22} {'mails':>6} {'mean':>9} {'median':>9} {'95 %':>9} {'longest':>9} {'left':>6}"
)


def _lines(shown: dict[str, Any]) -> list[str]:
    lines = [_DELAY_TITLE]
    out, inward = shown["out"], shown["in"]
    if out["mails"]:
        lines.append(_delay_line("out", out))
        lines += [_delay_line(f"  grade {key}", one) for key, one in out["by_grade"].items()]
        lines += [_delay_line(f"  {key}", one) for key, one in out["by_size"].items()]
    if inward["mails"]:
        lines.append(_delay_line("in", inward))
        lines += [_delay_line(f"  {key}", one) for key, one in inward["by_size"].items()]
    lines.append("")
    for name, link in shown["links"].items():
        lines += _link_lines(name, link)
    left = out["left"] + inward["left"]
    if left:
        lines.append(
            f"left at the end: {left} mails, {out['left_bytes'] + inward['left_bytes']:,} bytes"
        )
    if out["in_doubt"]:
        lines.append(f"cut before the last reply, and sent again: {out['in_doubt']}")
    if shown["at_home"]:
        lines.append(f"stayed on this machine: {shown['at_home']}")
    return lines


def _delay_line(name: str, one: dict[str, Any]) -> str:
    times = ("mean_seconds", "median_seconds", "p95_seconds", "max_seconds")
    told = " ".join(f"{_duration(one[key]) if key in one else '-':>9}" for key in times)
    return f"{name:<22} {one['mails']:>6} {told} {one['left']:>6}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


def _link_lines(name: str, one: dict[str, Any]) -> list[str]:
    lines = [
        f"{name}: {one['runs']} runs, {one['seconds'] / 60:,.1f} min,"
        f" {one['bytes_out']:,} bytes out, {one['bytes_in']:,} in,"
        f" {one['sent']} sent, {one['received']} fetched, cost {one['cost']:,.2f}"
    ]
    troubles = (
        ("cut", "cut in the middle"),
        ("refused", "not begun: the budget was spent"),
        ("dials", "dialled"),
        ("failed_dials", "calls that came to nothing"),
    )
    lines += [f"  {text}: {one[key]}" for key, text in troubles if one[key]]
    return lines
