"""Fetching over thin lines from Dovecot: ours and fetchmail (POP3, IMAP), getmail6 and mpop.

tests/bench/run fetch [LINE ...] [LOAD ...] [PROGRAM ...] [--json]

Lines: loopback, 128 (kbit/s, 600 ms), 33.6 (200 ms). Loads: same (200 mails of 4 KiB), mix (190 of
4 KiB and 10 of 200 KiB), empty (a poll with 200 mails kept and fetched before), many (with 10,000).
Programs: ours, ours-imap, fetchmail, fetchmail-imap, getmail, mpop. All of a kind where none is
named; the whole takes hours, most of it fetchmail's.

Seconds are those from the first call on the line until the client has hung up, so no program's
start counts; each has visited the empty mailbox before, so what it remembers of a server it knows.
`ideal` is the mails' content in wire form over the line's rate.
"""

import argparse
import asyncio
import json
import os
import pwd
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from nodes import TestNode
from peers.dovecot import Dovecot
from peers.found import require
from peers.processes import free_port
from relaynode.demo.letters import letter
from relaynode.wire.emulator import Line

KIB = 1024
LINES = {"loopback": (1e12, 0.0), "128": (128_000, 0.6), "33.6": (33_600, 0.2)}
LOADS = {
    "same": [4 * KIB] * 200,
    "mix": [4 * KIB] * 190 + [200 * KIB] * 10,
    "empty": [4 * KIB] * 200,
    "many": [100] * 10_000,
}
LONGEST_SECONDS = 3600


@dataclass
class Row:
    """One visit. `fetched`: how many mails came; `down`, `up`: bytes on the line."""

    program: str
    line: str
    load: str
    seconds: float
    ideal: float
    fetched: int
    down: int
    up: int


class WatchedLine(Line):
    """A line that knows when it was called first and when the last caller hung up."""

    def __init__(self, name):
        bits_per_second, round_trip_seconds = LINES[name]
        super().__init__(bits_per_second, round_trip_seconds)
        self.called_at = self.ended_at = None

    async def _carry(self, reader, writer, target_port):
        self.called_at = self.called_at or time.perf_counter()
        try:
            await super()._carry(_WatchedReader(reader, self), writer, target_port)
        finally:
            self.ended_at = max(self.ended_at or 0, self.called_at)


class _WatchedReader:
    """What the client says. It has hung up when that ends."""

    def __init__(self, reader, line):
        self._reader, self._line = reader, line

    def __getattr__(self, name):
        return getattr(self._reader, name)

    async def read(self, count):
        data = await self._reader.read(count)
        if not data:
            self._line.ended_at = time.perf_counter()
        return data


def call(command, environment, codes=(0,)):
    """Run a program. It must end with one of these codes."""
    words = [str(word) for word in command]
    ended = subprocess.run(
        words, env=environment, capture_output=True, timeout=LONGEST_SECONDS, check=False
    )
    if ended.returncode not in codes:
        said = (ended.stdout + ended.stderr).decode(errors="replace")[-2000:]
        raise RuntimeError(f"{words[0]}: exit {ended.returncode}: {said}")


# --- the programs: what to run in `folder` against `port`; and how many mails it has fetched then


class Ours:
    """It logs in by USER and PASS, as over TLS, and as mpop and getmail do here: on a line that
    others read it would take CRAM-MD5, which is two more flights."""

    protocol = "pop3"

    def __init__(self, folder, port, keep):
        self.node = TestNode(
            folder / "home",
            f'[account.isp]\nprotocol = "{self.protocol}"\n'
            f'host = "127.0.0.1:{port}"\ntls = "none"\nuser = "ann"\n'
            f'password_file = "password"\ndeliver_to = "user"\nkeep = {str(keep).lower()}\n'
            'auth = ["PLAIN"]\n',
            users=("user",),
        )
        self.node.password("password", "secret")

    def run(self):
        call(self.node.command("fetch"), self.node.environment)

    def fetched(self):
        return len(self.node.mails("user"))


class OursImap(Ours):
    protocol = "imap"


class Other:
    """A peer that keeps what it fetches in `folder`, or has a shell append it to a file."""

    peer, codes = "", (0,)

    def __init__(self, folder, port, keep):
        self.folder, self.found = folder, require(self.peer)
        folder.mkdir(parents=True)
        self.all = folder / "all"
        self.all.touch()
        self.settings = folder / "settings"
        self.settings.write_text(self.text(port, keep))
        self.settings.chmod(0o600)

    def run(self):
        call(self.command(), self.found.environment | {"HOME": str(self.folder)}, self.codes)

    def fetched(self):
        return self.all.read_bytes().count(b"\nSubject: Letter ")


class Fetchmail(Other):
    peer, codes, protocol = "fetchmail", (0, 1), "pop3"  # 1: there was nothing

    def text(self, port, keep):
        return (
            f"poll 127.0.0.1 protocol {self.protocol} port {port} timeout 300\n"
            f'user ann password secret sslproto "" {"keep" if keep else "no keep"} no rewrite\n'
            f'mda "cat >>{self.all}"\n'
        ).replace("timeout 300\n", f"timeout 300{' uidl' if self.protocol == 'pop3' else ''}\n")

    def command(self):
        program = self.found.program("fetchmail")
        return (program, "--nodetach", "-f", self.settings, "-i", self.folder / "ids")


class FetchmailImap(Fetchmail):
    protocol = "imap"


class Mpop(Other):
    peer = "mpop"

    def text(self, port, keep):
        return (
            f"account a\nhost 127.0.0.1\nport {port}\nuser ann\npassword secret\nauth user\n"
            f"tls off\nkeep {'on' if keep else 'off'}\npipelining on\n"
            f"uidls_file {self.folder}/uidls\ndelivery mbox {self.all}\n"
        )

    def command(self):
        return (self.found.program("mpop"), "-q", "-C", self.settings, "a")


class Getmail(Other):
    peer = "getmail"

    def text(self, port, keep):
        return (
            f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {port}\n"
            "username = ann\npassword = secret\n"
            "[destination]\ntype = MDA_external\npath = /bin/sh\n"
            f'arguments = ("-c", "cat >>{self.all}")\nallow_root_commands = true\n'
            f"[options]\ndelete = {str(not keep).lower()}\nread_all = false\n"
        )

    def command(self):
        modules = self.found.path("/usr/lib/python3/dist-packages")
        python = ("/usr/bin/env", f"PYTHONPATH={modules}", "/usr/bin/python3")
        program = self.found.program("getmail")
        return (*python, program, "--getmaildir", self.folder, "--rcfile", self.settings)


PROGRAMS = {
    "ours": Ours,
    "ours-imap": OursImap,
    "mpop": Mpop,
    "getmail": Getmail,
    "fetchmail": Fetchmail,
    "fetchmail-imap": FetchmailImap,
}


def fill(dovecot, sizes):
    """The bytes of it, in wire form."""
    owner, total = pwd.getpwnam(dovecot.keeper), 0
    maildir = dovecot.home_of("ann")
    for number, size in enumerate(sizes):
        data = letter(
            str(number % 500), "a@b.example", "ann@home.example", f"Letter {number}", size
        )
        total += len(data) + data.count(b"\n")
        path = maildir / "new" / f"{1_700_000_000 + number}.M{number:06}P1.bench,S={len(data)}"
        path.write_bytes(data)
        os.chown(path, owner.pw_uid, owner.pw_gid)
    return total


async def visit(program, line_name, target_port, local_port):
    line = WatchedLine(line_name)
    await line.forward(target_port, local_port=local_port)
    try:
        await asyncio.to_thread(program.run)
        await asyncio.sleep(0.1)  # for what the line has still to see
    finally:
        await line.close()
    return line


async def measure(name, line_name, load):
    """One row, with a mailbox and a home of its own."""
    is_kept = load in ("empty", "many")
    with tempfile.TemporaryDirectory() as folder, Dovecot(users={"ann": "secret"}) as dovecot:
        target = dovecot.imap_port if name.endswith("imap") else dovecot.pop3_port
        local_port = free_port()
        program = PROGRAMS[name](Path(folder) / name, local_port, is_kept)
        await visit(program, "loopback", target, local_port)  # it has been there before
        size = await asyncio.to_thread(fill, dovecot, LOADS[load])
        if is_kept:
            for _ in range(2):  # the second has the server's size of each mail in its index
                await visit(program, "loopback", target, local_port)
        before = program.fetched()
        line = await visit(program, line_name, target, local_port)
        rate = line.down.bytes_per_second
        return Row(
            name,
            line_name,
            load,
            line.ended_at - line.called_at,
            0.0 if is_kept else size / rate,
            program.fetched() - before,
            line.down.bytes_carried,
            line.up.bytes_carried,
        )


def show(row):
    ratio = f"{row.seconds / row.ideal:7.3f}" if row.ideal > 0.1 else "      -"
    print(
        f"{row.line:9}{row.load:7}{row.program:16}{row.seconds:9.2f} s{ratio}"
        f"{row.fetched:7} mails{row.down:10} down{row.up:8} up",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*", choices=[*LINES, *LOADS, *PROGRAMS, []])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = [
        [one for one in kind if one in options.words] or list(kind)
        for kind in (LINES, LOADS, PROGRAMS)
    ]
    rows = []
    for line in kinds[0]:
        for load in kinds[1]:
            for name in kinds[2]:
                rows.append(asyncio.run(measure(name, line, load)))
                if not options.json:
                    show(rows[-1])
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
