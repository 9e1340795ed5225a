"""The demo's play over several lines: how close a link-up comes to what the line allows."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from relaynode.cli import demo
from relaynode.demo import stage

LINES = ((33_600, 0.2), (128_000, 0.6), (9_600, 1.0))


def main():
    rows = []
    for bits_per_second, round_trip_seconds in LINES:
        stage.BITS_PER_SECOND = bits_per_second
        stage.ROUND_TRIP_SECONDS = round_trip_seconds
        with tempfile.TemporaryDirectory(prefix="rn-") as folder:
            result, _, _ = asyncio.run(demo._play(Path(folder), demo._silent))
        rows.append(
            {
                "kbit_s": bits_per_second / 1000,
                "round_trip_ms": round_trip_seconds * 1000,
                "seconds": result.seconds,
                "ideal_seconds": result.ideal_seconds,
                "efficiency": result.efficiency,
                "lost": result.lost,
                "doubled": result.doubled,
            }
        )
        if "--json" not in sys.argv:
            row = rows[-1]
            print(
                f"{row['kbit_s']:6g} kbit/s {row['round_trip_ms']:5g} ms: {row['seconds']:7.2f} s,"
                f" ideal {row['ideal_seconds']:7.2f} s, efficiency {row['efficiency']:.3f},"
                f" {row['lost']} lost, {row['doubled']} doubled",
                flush=True,
            )
    if "--json" in sys.argv:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
