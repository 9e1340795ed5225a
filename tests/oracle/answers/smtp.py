"""Kind `smtp`: a session from some client's address, command by command.

The session runs through the SMTP source as the daemon has it, over a stream in memory. Names come
from the recorded zone (dns-zone.json) and the machine's hosts file. Replies to MAIL, RCPT and DATA
are compared word for word; of the greeting, EHLO and the rest the code, and of EHLO whether the
list of extensions was cut for a client that is not welcome: we can do other things than sendmail.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from relaynode.errors import ConnectFailed
from relaynode.queue.memory import MemoryStore
from relaynode.sources.intake import Intake
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair

ZONE = json.loads((Path(__file__).parents[1] / "dns-zone.json").read_text(encoding="utf-8"))

HOSTS = {"localhost": "127.0.0.1", "gate.example.org": "192.0.2.1", "gate": "192.0.2.1"}
HOSTS["bsd.home"] = "192.0.2.1"

WORD_FOR_WORD = ("MAIL", "RCPT", "DATA")

Replies = list[tuple[str, list[str]]]


class Zone:
    """A name server that knows the recorded zone."""

    def name_of(self, address: str) -> str | None:
        if address in ZONE["PTR_SERVFAIL"]:
            raise ConnectFailed(f"{address}: server failure")
        if address in HOSTS.values():
            return next(name for name, its in HOSTS.items() if its == address)
        return ZONE["PTR"].get(address)

    def addresses(self, name: str) -> frozenset[str]:
        self._fail(name)
        found = HOSTS.get(name.lower()) or ZONE["A"].get(name.lower())
        return frozenset([found] if found else [])

    def mail_exchangers(self, domain: str) -> tuple[str, ...]:
        self._fail(domain)
        return tuple(host for _, host in sorted(ZONE["MX"].get(domain.lower(), [])))

    def _fail(self, name: str) -> None:
        if any(f".{name.lower()}".endswith(f".{failing}") for failing in ZONE["SERVFAIL"]):
            raise ConnectFailed(f"{name}: server failure")


def answer(site: Any, case: dict[str, Any]) -> Replies:
    """What we say to each command."""
    commands = [command for command, _ in case["replies"]]
    return normalised(asyncio.run(_session(source_of(site), case["client"], commands)))


def expected(case: dict[str, Any]) -> Replies:
    """The same as recorded."""
    return normalised([(command, lines) for command, lines in case["replies"]])


def source_of(site: Any) -> SmtpSource:
    """The SMTP source of a site, on a queue in memory."""
    intake = Intake(
        MemoryStore(site.config.spool),
        site.rules,
        hostname=site.hostname,
        max_hops=site.config.file.queue.max_hops,
        clock=lambda: 0.0,
        utc_offset_minutes=lambda now: 0,
    )
    return SmtpSource(
        intake,
        site.rules,
        hostname=site.hostname,
        networks=[],
        max_size_bytes=site.config.file.queue.message_size_bytes,
        looks_up_clients=site.config.file.access.look_up_clients,
        dns=Zone(),
    )


async def _session(source: SmtpSource, client: str, commands: list[str]) -> Replies:
    """The replies; the first command, `<connect>`, is not sent."""
    ours, stream = pair("client", "server")
    serving = asyncio.ensure_future(source.serve(ours, client))
    replies: Replies = []
    try:
        for number, command in enumerate(commands):
            if number:
                await stream.write(command.encode() + b"\r\n")
            replies.append((command, await _reply(stream)))
    finally:
        await stream.close()
        await serving
    return replies


async def _reply(stream: Any) -> list[str]:
    said = b""
    while not re.search(rb"(?m)^[0-9]{3} .*\r\n\Z", said):
        data = await stream.read(20)
        if not data:
            return [*said.decode().splitlines(), "<closed>"]
        said += data
    return said.decode().splitlines()


def normalised(replies: Replies) -> Replies:
    """Only what is to be the same."""
    return [(command, _normalised(command, lines)) for command, lines in replies]


def _normalised(command: str, lines: list[str]) -> list[str]:
    word = command.partition(" ")[0].upper()
    if word in WORD_FOR_WORD:
        return [re.sub(r"(250 2\.0\.0) \S+ (Message accepted)", r"\1 ID \2", x) for x in lines]
    code = lines[0][:3]
    if word == "EHLO" and code == "250":
        is_cut = [line[4:] for line in lines[1:]] == ["ENHANCEDSTATUSCODES"]
        return [code, "cut down" if is_cut else "all extensions"]
    return [code]
