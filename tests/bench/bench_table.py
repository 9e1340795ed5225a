"""What a virtusertable of a million lines costs, against Postfix's postmap on the same lines.

Postfix and sendmail compile a table before use; we read the text. So what can be compared is the
time until the table can be asked: our reading, and the yardstick's compiling.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers.found import PeerMissing, find
from relaynode.policy.names import Names
from relaynode.policy.route import Routing
from relaynode.tables.loader import Tables

LINES = 1_000_000
DOMAINS = 5_000
LOOKUPS = 200_000
ROUTES = 20_000


def main():
    with tempfile.TemporaryDirectory(prefix="rn-") as name:
        folder = Path(name)
        write_table(folder / "virtusertable")
        row = {**measured(folder), **compiled(folder / "virtusertable")}
    if row["compile_s"]:
        row["load_to_compile"] = round(row["load_s"] / row["compile_s"], 3)
    if "--json" in sys.argv:
        print(json.dumps(row))
        return
    print(f"virtusertable of {LINES} lines, {row['file_mb']} MB")
    print(f"  load                {row['load_s']:8.2f} s, {row['memory_mb']} MB of memory")
    print(f"  look at the file    {row['unchanged_us']:8.2f} us for each use while it stays")
    print(f"  look up             {row['lookups_per_s']:8d} a second")
    print(f"  route an address    {row['routes_per_s']:8d} a second, each with its trail")
    if row["compile_s"]:
        print(f"  postmap ({row['format']})      {row['compile_s']:8.2f} s; we / it", end=" ")
        print(f"{row['load_to_compile']:.2f}")


def key(number):
    return f"user{number}@dom{number % DOMAINS}.example"


def write_table(path):
    with path.open("w") as file:
        file.writelines(f"{key(n)}\tbox{n}@mail{n % 50}.example.net\n" for n in range(LINES))


def measured(folder):
    tables = Tables(folder)
    before = resident_mb()
    load, table = timed(lambda: tables.virtusertable)
    memory = resident_mb() - before
    assert len(table.entries) == LINES
    again, _ = timed(lambda: [tables.virtusertable for _ in range(1000)])
    keys = [key(number) for number in range(0, LINES, LINES // LOOKUPS)]
    look, _ = timed(lambda: [table.entries.get(one) for one in keys])
    local = frozenset(f"dom{number}.example" for number in range(DOMAINS))
    names = Names(hostname="gate.example.org", local=local)
    routing = Routing(names=names, virtusertable=table)
    route, routes = timed(lambda: [routing.route(one) for one in keys[:ROUTES]])
    assert routes[0].route.user == "box0@mail0.example.net"
    return {
        "lines": LINES,
        "file_mb": round((folder / "virtusertable").stat().st_size / 1e6, 1),
        "load_s": round(load, 3),
        "memory_mb": round(memory),
        "unchanged_us": round(again * 1000, 2),
        "lookups_per_s": round(len(keys) / look),
        "routes_per_s": round(ROUTES / route),
    }


def compiled(path):
    """Postfix's own time for these lines, with the first format it was built with."""
    try:
        postfix = find("postfix")
        postmap = postfix.program("postmap")
    except PeerMissing:
        return {"compile_s": None, "format": ""}
    configuration = path.parent / "postfix"
    configuration.mkdir()
    (configuration / "main.cf").write_text("compatibility_level = 3.6\n")
    for kind in ("hash", "lmdb", "cdb"):
        command = [postmap, "-c", configuration, f"{kind}:{path}"]
        begin = time.perf_counter()
        done = subprocess.run(command, env=postfix.environment, capture_output=True, check=False)
        seconds = time.perf_counter() - begin
        if done.returncode == 0:
            return {"compile_s": round(seconds, 3), "format": kind}
    return {"compile_s": None, "format": ""}


def timed(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def resident_mb():
    """What the process holds now; its highest so far where that cannot be told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
