"""One delivery into a Maildir, empty and big: what knowing a repeated delivery costs.

tests/bench/run maildir [--mails 50000] [--json]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from relaynode.mailers.mailbox import deliver_to_maildir

DELIVERIES = 50
MESSAGE = b"Subject: s\n\n" + b"a line of the body\n" * 125


def measure(folder, mails, *, may_be_there):
    """Median microseconds."""
    maildir = Path(folder, f"{mails}-{may_be_there}")
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True)
    for number in range(mails):
        (maildir / "cur" / f"{1_700_000_000 + number}.A{number}R1.bsd.home,S=2,W=3:2,S").touch()
    taken = []
    for number in range(DELIVERIES):
        begin = time.perf_counter()
        name = f"1800000000.B{number}R1.bsd.home"
        assert deliver_to_maildir(maildir, name, [MESSAGE], may_be_there=may_be_there)
        taken.append(time.perf_counter() - begin)
    return round(statistics.median(taken) * 1e6)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mails", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for may_be_there in (False, True):
            for mails in (0, options.mails):
                found = measure(folder, mails, may_be_there=may_be_there)
                which = "again" if may_be_there else "first"
                rows.append({"try": which, "mails": mails, "microseconds": found})
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['try']:6} {row['mails']:7} mails {row['microseconds']:8} microseconds")


if __name__ == "__main__":
    main()
