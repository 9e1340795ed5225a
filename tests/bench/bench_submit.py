"""What `sendmail -t` costs with the daemon running, against a bare interpreter and Postfix."""

import json
import sys
import tempfile
from pathlib import Path

from bench.timing import Timed, in_turn, ratio_by_pairs
from nodes import TestNode
from peers.postfix import Postfix

RUNS = 60
LETTER = b"From: ann\nTo: x@far.example\nSubject: bench\n\n" + (b"x" * 71 + b"\n") * 56


def main():
    with tempfile.TemporaryDirectory(prefix="rn-") as name, Postfix(None) as postfix:
        folder = Path(name)
        node = TestNode(folder / "node", '[link.isp]\nkind = "event"\n')
        launcher = node.launcher()
        commands = [
            Timed("relaynode sendmail -t", [str(launcher), "-t"], node.environment, LETTER),
            Timed("python3 -c pass", [sys.executable, "-c", "pass"], node.environment, LETTER),
            Timed("Postfix sendmail -t", [*postfix.sendmail_command(), "-t"], None, LETTER),
        ]
        with node.daemon():
            in_turn(commands, RUNS)
    ours, bare, theirs = commands
    rows = [
        {
            "command": one.name,
            "median_ms": round(one.median * 1000, 2),
            "min_ms": round(min(one.seconds) * 1000, 2),
            "max_ms": round(max(one.seconds) * 1000, 2),
            "ours_to_it": round(ours.median / one.median, 3),
            "by_pairs": round(ratio_by_pairs(ours, one), 3),
        }
        for one in (ours, bare, theirs)
    ]
    if "--json" in sys.argv:
        print(json.dumps(rows))
        return
    print(f"{RUNS} runs each, in turn; a message of {len(LETTER)} bytes")
    print(f"{'':24}{'median':>9}{'min':>9}{'max':>9}   ours / it   by pairs")
    for row in rows:
        print(
            f"{row['command']:24}{row['median_ms']:7.1f}ms{row['min_ms']:7.1f}ms"
            f"{row['max_ms']:7.1f}ms{row['ours_to_it']:12.2f}{row['by_pairs']:11.2f}"
        )


if __name__ == "__main__":
    main()
