"""Mail accepted durably, messages a second: ours beside Postfix, Exim, sendmail and OpenSMTPD.

Postfix's smtp-source is the client of all. The servers run at the same time, and idle but for the
one that is asked: in turn, row by row, so that a machine that slows down slows all of them.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from smtp_in_servers import SERVERS, memory_bytes, processor_seconds

from peers.found import require

ROUNDS = 3
SECONDS = 1.5
"""How long one measurement is to take, about."""

MOST, LEAST = 4000, 10

MOST_SECONDS = 120
"""No client takes so long that is served."""

LOOK_SECONDS, STILL_SECONDS, MOST_LOOKS = 0.25, 0.02, 40
"""A server that used less than that between two looks is idle."""


@dataclass(frozen=True)
class Load:
    """What the client does: so many connections at a time, one message each or many."""

    connections: int
    is_many: bool
    size_bytes: int = 4096

    @property
    def name(self):
        each = "many" if self.is_many else "one"
        return f"{self.connections} x {each}, {self.size_bytes // 1024} KiB"

    def command(self, port, count):
        found = require("postfix")
        return [
            str(found.program("smtp-source")),
            *("-s", str(self.connections), "-m", str(count), "-l", str(self.size_bytes)),
            *(["-d"] if self.is_many else []),
            *("-f", "sender@home.example", "-t", "bob@far.example"),
            f"127.0.0.1:{port}",
        ]


LOADS = [
    Load(1, False),
    Load(1, True),
    Load(10, False),
    Load(10, True),
    Load(50, False),
    Load(50, True),
    Load(10, False, 65536),
    Load(10, True, 65536),
]


@dataclass(frozen=True)
class Measured:
    per_second: float
    processor_seconds_per_1000: float


def seconds_of(server, load, count):
    start = time.perf_counter()
    with subprocess.Popen(
        load.command(server.port, count), env=require("postfix").environment
    ) as client:
        watchdog = threading.Timer(MOST_SECONDS, client.kill)
        watchdog.start()
        client.wait()  # with a timeout it would look at the clock every 50 ms
        seconds = time.perf_counter() - start
        watchdog.cancel()
    if client.returncode:
        raise subprocess.CalledProcessError(client.returncode, client.args)
    return seconds


def settle(servers):
    """Wait until none of them is busy: what one has accepted it goes on with for a while (Postfix
    puts each message off), which is not the next one's to wait for."""
    used = -1.0
    for _ in range(MOST_LOOKS):
        used, before = sum(processor_seconds(server.pid) for server in servers.values()), used
        if used - before < STILL_SECONDS and before >= 0:
            return
        time.sleep(LOOK_SECONDS)


def measure(server, load, count, servers):
    settle(servers)
    before = processor_seconds(server.pid)
    seconds = seconds_of(server, load, count)
    used = processor_seconds(server.pid) - before
    return Measured(count / seconds, used * 1000 / count)


def usual_count(server, load):
    """So many that it takes about SECONDS."""
    count = max(LEAST, load.connections)
    rate = count / seconds_of(server, load, count)
    return round(min(MOST, max(count, rate * SECONDS)))


def row(load, servers):
    counts = {name: usual_count(server, load) for name, server in servers.items()}
    rounds = [
        {name: measure(server, load, counts[name], servers) for name, server in servers.items()}
        for _ in range(ROUNDS)
    ]
    return {
        "load": load.name,
        **{
            name: {
                "per_second": round(statistics.median(one[name].per_second for one in rounds), 1),
                "processor_seconds_per_1000": round(
                    statistics.median(one[name].processor_seconds_per_1000 for one in rounds), 2
                ),
                "ours_to_it": round(
                    statistics.median(
                        one["relaynode"].per_second / one[name].per_second for one in rounds
                    ),
                    2,
                ),
            }
            for name in servers
        },
    }


def told(row):
    """For people."""
    cells = [
        f"{name} {cell['per_second']:.0f}/s, {cell['processor_seconds_per_1000']:.1f} s"
        + ("" if name == "relaynode" else f" ({cell['ours_to_it']:.2f})")
        for name, cell in row.items()
        if name != "load"
    ]
    return f"{row['load']:20} " + "; ".join(cells)


def main():
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    chosen = {name: SERVERS[name] for name in SERVERS if not names or name in names}
    chosen.setdefault("relaynode", SERVERS["relaynode"])
    is_json = "--json" in sys.argv
    rows = []
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(make()) for name, make in chosen.items()}
        idle = {name: memory_bytes(server.pid) for name, server in servers.items()}
        if not is_json:
            print("messages a second and processor seconds per 1,000 (ours / it, by rounds)")
        for load in LOADS:
            rows.append(row(load, servers))
            if not is_json:
                print(told(rows[-1]), flush=True)
    if is_json:
        print(json.dumps({"rows": rows, "idle_bytes": idle}))
    else:
        print("idle: " + ", ".join(f"{n} {b / 1048576:.1f} MiB" for n, b in idle.items()))


if __name__ == "__main__":
    main()
