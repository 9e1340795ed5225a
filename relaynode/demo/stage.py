"""The stage of the demo: the nodes *home* and *isp*, their mail, and the line.

Both are ordinary nodes with ordinary configuration files (`plays.py`), in a folder of their own;
only the line is emulated.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.config.loader import load
from relaynode.daemon.daemon import Daemon
from relaynode.demo import plays
from relaynode.demo.letters import letter
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

    from relaynode.demo.plays import Play, Site

BITS_PER_SECOND = 33_600.0
ROUND_TRIP_SECONDS = 0.2
MESSAGES = 25
MESSAGE_BYTES = 4096
"""An ordinary letter with its quotations."""

_PASSWORD = "demo"

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


async def set_up(folder: Path, ports: tuple[int, ...], play: Play = plays.SMTP) -> Stage:
    """The two nodes and the line, which is down. `ports`: a free one for each service of isp's."""
    line = Line(BITS_PER_SECOND, ROUND_TRIP_SECONDS)
    await line.cut()
    near = [await line.forward(port) for port in ports]
    isp_path = _write(folder / "isp", play.isp, dict(zip(play.services, ports, strict=True)))
    home_path = _write(folder / "home", play.home, dict(zip(play.services, near, strict=True)))
    isp = Daemon(make_node(load(isp_path)))
    await isp.start()
    return Stage(folder, line, isp, make_node(load(home_path)))


def _write(folder: Path, site: Site, ports: dict[str, int]) -> Path:
    """The path of the configuration."""
    (folder / "tables").mkdir(parents=True)
    for name, text in site.tables.items():
        (folder / "tables" / name).write_text(text)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(_PASSWORD + "\n")
    path = folder / "relaynode.toml"
    path.write_text(site.config.format(folder=folder, **ports))
    return path


async def fill(stage: Stage) -> None:
    """MESSAGES letters written at home, and as many that wait at the provider."""
    for number in range(MESSAGES):
        await _submit(stage.home, "user", "friend@example.net", "out", number)
        await _submit(stage.isp.node, "friend", "user@example.net", "in", number)
    run = QueueRun(stage.isp.node.parts, ByteCount(), takes_way=lambda way: way.kind == "local")
    await run.run()


async def _submit(node: Node, sender: str, recipient: str, way: str, number: int) -> None:
    subject = f"Demo {way} {number}"
    content = letter(f"{way} {number}", sender, recipient, subject, MESSAGE_BYTES)

    async def pieces() -> AsyncIterator[bytes]:
        yield content

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
