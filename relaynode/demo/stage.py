"""The stage of the demo: the nodes *home* and *isp*, their mail, and the line.

Both are ordinary nodes with ordinary configuration files, in a folder of their own; only the line
is emulated. *isp* is the provider: smart host, and mailbox behind POP3.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.config.loader import load
from relaynode.daemon.daemon import Daemon
from relaynode.links.queuerun import QueueRun
from relaynode.mail.header import find_header_end, first_value
from relaynode.mailboxes.maildir import Maildir
from relaynode.node import Node, make_node
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit
from relaynode.wire.emulator import Line
from relaynode.wire.meter import ByteCount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

BITS_PER_SECOND = 33_600.0
ROUND_TRIP_SECONDS = 0.2
MESSAGES = 25
BODY_LINES = 56
"""Of 72 characters: about 4 KiB a message, an ordinary letter with its quotations."""

_PASSWORD = "demo"

_ISP = """\
[node]
hostname = "mail.example.net"
spool = "spool"
tables = "tables"
local_domains = ["example.net"]

[local]
mailbox = "{folder}/mail/{{user}}/"
users = ["user", "friend", "postmaster"]

[listen.world]
smtp = ["127.0.0.1:{smtp}"]
pop3 = ["127.0.0.1:{pop3}"]

[user.user]
password_file = "password"
"""

_HOME = """\
[node]
hostname = "bsd.home"
spool = "spool"
tables = "tables"
local_domains = ["bsd.home", "localhost"]

[masquerade]
as = "example.net"
all = true
envelope = true

[link.isp]
kind = "event"

[smart_host.isp]
host = "127.0.0.1:{smtp}"
tls = "none"
link = "isp"

[account.isp]
protocol = "pop3"
host = "127.0.0.1:{pop3}"
tls = "none"
user = "user"
password_file = "password"
deliver_to = "user"
link = "isp"

[local]
mailbox = "{folder}/mail/{{user}}/"
users = ["user", "postmaster"]
"""

_NUMBER = re.compile(rb"Demo (out|in) (\d+)")


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that is set up. `isp` runs as a daemon, `home` waits for its line."""

    folder: Path
    line: Line
    isp: Daemon
    home: Node

    async def close(self) -> None:
        """Take it all down."""
        await self.line.close()
        await self.home.close()
        await self.isp.stop()


async def set_up(folder: Path, ports: tuple[int, int]) -> Stage:
    """The two nodes and the line, which is down. `ports`: free ones, for isp's SMTP and POP3."""
    line = Line(BITS_PER_SECOND, ROUND_TRIP_SECONDS)
    await line.cut()
    isp_folder = _write(folder / "isp", _ISP, smtp=ports[0], pop3=ports[1])
    near = [await line.forward(port) for port in ports]
    home_folder = _write(folder / "home", _HOME, smtp=near[0], pop3=near[1])
    isp = Daemon(make_node(load(isp_folder / "relaynode.toml")))
    await isp.start()
    home = make_node(load(home_folder / "relaynode.toml"))
    return Stage(folder, line, isp, home)


def _write(folder: Path, text: str, **ports: int) -> Path:
    (folder / "tables").mkdir(parents=True)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(_PASSWORD + "\n")
    (folder / "relaynode.toml").write_text(text.format(folder=folder, **ports))
    return folder


async def fill(stage: Stage) -> None:
    """MESSAGES letters written at home, and as many that wait at the provider."""
    for number in range(MESSAGES):
        await _submit(stage.home, "user", "friend@example.net", f"Demo out {number}")
        await _submit(stage.isp.node, "friend", "user@example.net", f"Demo in {number}")
    run = QueueRun(stage.isp.node.parts, ByteCount(), takes_way=lambda way: way.kind == "local")
    await run.run()


async def _submit(node: Node, sender: str, recipient: str, subject: str) -> None:
    header = f"From: {sender.capitalize()} <{sender}>\nTo: {recipient}\nSubject: {subject}\n\n"
    lines = [f"{subject}, line {number:2}".ljust(71, ".") + "\n" for number in range(BODY_LINES)]

    async def pieces() -> AsyncIterator[bytes]:
        yield (header + "".join(lines)).encode()

    options = SendmailOptions(recipients=[recipient], ignores_dots=True)
    ended = await submit(node.intake, options, Submitter(sender), pieces(), node.config.hostname)
    if ended.exit_code:
        raise RuntimeError(ended.complaint)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a mailbox holds of the numbered letters."""

    numbers: tuple[int, ...]

    @property
    def lost(self) -> int:
        """Letters that are nowhere."""
        return MESSAGES - len(set(self.numbers))

    @property
    def doubled(self) -> int:
        """Copies beyond the first."""
        return len(self.numbers) - len(set(self.numbers))


def arrived(folder: Path, user: str) -> Arrived:
    """The letters in a user's Maildir."""
    numbers = []
    for content in _contents(folder, user):
        if found := _NUMBER.search(content):
            numbers.append(int(found[2]))
    return Arrived(tuple(numbers))


def sender_shown(folder: Path, user: str) -> str:
    """The From field of the first letter in a Maildir."""
    for content in _contents(folder, user):
        value = first_value(content[: find_header_end(content)], b"from")
        return (value or b"").decode()
    return ""


def _contents(folder: Path, user: str) -> Iterable[bytes]:
    maildir = Maildir(folder / "mail" / user, os.geteuid())
    for message in maildir.messages():
        yield b"".join(maildir.pieces(message))
