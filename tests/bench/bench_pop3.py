"""Opening a big mailbox over POP3: ours beside Dovecot's with a cold index, on the same Maildir.

tests/bench/run pop3 [--mails 50000] [--runs 3] [--json]

A visit is connect, login, one of STAT, UIDL and LIST, QUIT. Before each, what both servers remember
of the Maildir is removed, but for the rows "again". The files' names are such as relaynode and
Dovecot give them, with their sizes in them, or such as qmail, Postfix and procmail do, without.
"""

import argparse
import json
import os
import poplib
import pwd
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from nodes import TestNode
from peers.dovecot import Dovecot
from peers.processes import free_port

COMMANDS = ("STAT", "UIDL", "LIST")
FORGOTTEN = ("dovecot*", "relaynode.pop3.sizes*")


@dataclass
class Row:
    """One server, one command, and how long its visits took, in seconds."""

    server: str
    names: str
    command: str
    visit: str = "first"
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.seconds)


def content(number):
    """About 2.5 KiB, LF line ends."""
    head = f"From: a@b.example\nSubject: number {number}\nMessage-Id: <{number}@b.example>\n\n"
    return (head + "a line of the body\n" * 125).encode()


def fill(maildir, count, owner, *, has_sizes):
    """`count` messages that were seen already, so that nobody moves them."""
    for number in range(count):
        data = content(number)
        name = f"{1_700_000_000 + number}.M{number:06}P1.bsd.home"
        if has_sizes:
            name += f",S={len(data)},W={len(data) + data.count(10)}"
        path = maildir / "cur" / f"{name}:2,S"
        path.write_bytes(data)
        os.chown(path, owner.pw_uid, owner.pw_gid)


def forget(maildir):
    for pattern in FORGOTTEN:
        for path in maildir.glob(pattern):
            path.unlink()


def visit(port, user, command, during=None):
    """Seconds from the connection to the end of the answer; `during` is called then."""
    begin = time.perf_counter()
    pop = poplib.POP3("127.0.0.1", port, timeout=300)
    pop.user(user)
    pop.pass_("secret")
    found = {"STAT": pop.stat, "UIDL": pop.uidl, "LIST": pop.list}[command]()
    seconds = time.perf_counter() - begin
    if during is not None:
        during()
    pop.quit()
    return seconds, found[0] if command == "STAT" else len(found[1])


def memory_kib(pid, key="VmRSS"):
    """Of a process, as Linux tells it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def measure(ports, user, maildir, names, count, runs):
    """All rows for one kind of names, the servers in turn."""
    rows = []
    for command in COMMANDS:
        pair = [Row(server, names, command) for server in ports]
        again = [Row(server, names, command, "again") for server in ports]
        for _ in range(runs):
            for first, second in zip(pair, again, strict=True):
                forget(maildir)
                for row in (first, second):
                    seconds, found = visit(ports[row.server], user, command)
                    assert found == count, (row, found)
                    row.seconds.append(seconds)
        rows += [*pair, *again]
    return rows


def bench(count, runs):
    """All rows, and our memory in KiB: before, with the mailbox open, and at its most."""
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    user, rows = owner.pw_name, []
    with Dovecot(users={user: "secret"}) as dovecot, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        node = TestNode(
            Path(folder),
            f'[listen.lan]\npop3 = ["127.0.0.1:{port}"]\n'
            f'[user.{user}]\npassword_file = "password"\n',
        )
        node.password("password")
        ours = f'"{node.folder}/mail/{{user}}/"'
        text = node.path.read_text()
        node.path.write_text(text.replace(ours, f'"{dovecot.home}/mail/{{user}}/"'))
        maildir = dovecot.home_of(user)
        ports = {"ours": port, "Dovecot": dovecot.pop3_port}
        with node.daemon() as daemon:
            pid = daemon.process.pid
            memory = {"idle": memory_kib(pid)}
            for names in ("with sizes", "without"):
                fill(maildir, count, owner, has_sizes=names == "with sizes")
                rows += measure(ports, user, maildir, names, count, runs)
                forget(maildir)
                visit(port, user, "LIST", lambda: memory.update({"open": memory_kib(pid)}))
                for path in (maildir / "cur").iterdir():
                    path.unlink()
            memory["peak"] = memory_kib(pid, "VmHWM")
    return rows, memory


def show(rows, memory, count):
    print(f"{count} mails; seconds, median")
    print(f"{'names':12}{'command':9}{'visit':7}{'ours':>8}{'Dovecot':>9}{'ratio':>7}")
    keys = dict.fromkeys((row.names, row.command, row.visit) for row in rows)
    for key in keys:
        found = {row.server: row for row in rows if (row.names, row.command, row.visit) == key}
        ours, theirs = found["ours"].median, found["Dovecot"].median
        names, command, when = key
        print(f"{names:12}{command:9}{when:7}{ours:8.2f}{theirs:9.2f}{ours / theirs:7.2f}")
    print("our memory, KiB: " + ", ".join(f"{key} {value}" for key, value in memory.items()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mails", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, memory = bench(options.mails, options.runs)
    if options.json:
        found = [vars(row) | {"median": row.median} for row in rows]
        print(json.dumps({"rows": found, "memory_kib": memory, "mails": options.mails}))
    else:
        show(rows, memory, options.mails)


if __name__ == "__main__":
    main()
