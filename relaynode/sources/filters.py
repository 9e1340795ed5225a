"""The filters of a listener (milters), asked in their order about each step of a client's session.

What stands in the configuration is known to mail servers under these names: sendmail's
INPUT_MAIL_FILTER, Postfix's smtpd_milters (docs/milters.md). Macros are sendmail's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode import __version__
from relaynode.policy.client import NameState
from relaynode.policy.verdict import ACCEPTED, Verdict
from relaynode.sources.milter_session import (
    Caller,
    Filter,
    Greeting,
    MilterSession,
    open_stream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from relaynode.config.loader import Config
    from relaynode.config.schema import MilterSection
    from relaynode.policy.client import Client
    from relaynode.policy.route import Route
    from relaynode.smtp.events import Mail
    from relaynode.sources.letter import Letter
    from relaynode.sources.milter_session import Opener

_RESOLVED = {
    NameState.VERIFIED: "OK",
    NameState.FORGED: "FORGED",
    NameState.NONE: "FAIL",
    NameState.UNRESOLVED: "TEMP",
    NameState.NOT_ASKED: "TEMP",
}


def filters_of(config: Config, listener: str) -> Filters | None:
    """The filters for what comes to [listen.NAME]; None if there are none."""
    milters = config.file.milter.items()
    chosen = [
        _filter(name, section)
        for name, section in milters
        if not section.listeners or listener in section.listeners
    ]
    return _filters(chosen, config, listener)


def local_filters_of(config: Config) -> Filters | None:
    """The filters for what programs of this machine submit; None if there are none."""
    milters = config.file.milter.items()
    chosen = [_filter(name, section) for name, section in milters if section.local]
    return _filters(chosen, config, "local")


def source_filters_of(config: Config, source: str) -> Filters | None:
    """The filters for a source that no listener has: "uucp", "poll", "odmr"; None if there are
    none."""
    milters = config.file.milter.items()
    chosen = [_filter(name, section) for name, section in milters if source in section.sources]
    return _filters(chosen, config, source)


def _filters(chosen: Sequence[Filter], config: Config, name: str) -> Filters | None:
    size_bytes = config.file.queue.message_size_bytes
    return Filters(chosen, config.hostname, name, size_bytes) if chosen else None


def _filter(name: str, section: MilterSection) -> Filter:
    return Filter(
        name,
        section.socket,
        section.default_action,
        section.connect_timeout_seconds,
        section.command_timeout_seconds,
        section.content_timeout_seconds,
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """Some filters. `daemon_name`: what they are told that the client has come to.
    `max_size_bytes`: the largest message that they may make of one."""

    filters: Sequence[Filter]
    hostname: str
    daemon_name: str
    max_size_bytes: int = 0
    opener: Opener = open_stream

    def begin(self) -> FilterSession:
        """For one session of a client. Close it."""
        milters = [MilterSession(one, self.opener) for one in self.filters]
        return FilterSession(milters, self.hostname, self.daemon_name)


@dataclass(slots=True)
class FilterSession:
    """Each step goes to one filter after the other, until one says no or throws the mail away.

    Steps raise nothing but CancelledError, `content` also StoreError.
    """

    milters: Sequence[MilterSession]
    hostname: str
    daemon_name: str
    _queue_id: dict[str, str] = field(default_factory=dict)

    async def connect(self, client: Client, port: int = 0, own_address: str = "") -> Verdict:
        """A client has come, from this port, to that address of ours."""
        name, address = _name_and_address(client)
        wired = f"IPv6:{address}" if ":" in address else address
        forged = " (may be forged)" if client.name_state is NameState.FORGED else ""
        macros = {
            "j": self.hostname,
            "_": f"{name} [{wired}]{forged}" if name[0] != "[" else f"[{wired}]",
            "v": f"relaynode {__version__}",
            "{daemon_name}": self.daemon_name,
            "{if_name}": self.hostname,
            "{if_addr}": own_address,
            "{client_addr}": wired,
            "{client_name}": name,
            "{client_port}": str(port),
            "{client_ptr}": client.name or name,
            "{client_resolve}": "OK" if client.is_local_user else _RESOLVED[client.name_state],
        }
        caller = Caller(name, address, port, macros)
        try:
            return await self._each(lambda milter: milter.connect(caller))
        except BaseException:
            await self.close()
            raise

    async def hello(self, name: str, macros: Mapping[str, str]) -> Verdict:
        """HELO or EHLO. `macros`: of TLS."""
        greeting = Greeting(name, macros)
        return await self._each(lambda milter: milter.hello(greeting))

    async def mail(
        self, mail: Mail, route: Route | None, queue_id: str, login: Mapping[str, str]
    ) -> Verdict:
        """MAIL. `route`: where mail to the sender would go. `login`: macros of AUTH."""
        self._queue_id = {"i": queue_id}
        macros = {
            **self._queue_id,
            **login,
            **({"{mail_mailer}": route.mailer, "{mail_host}": route.host} if route else {}),
            "{mail_addr}": mail.reverse_path,
        }
        arguments = _arguments(mail)
        return await self._each(lambda milter: milter.mail(arguments, macros))

    async def rcpt(self, path: str, route: Route | None) -> Verdict:
        """RCPT, of somebody who would be accepted. `route`: where mail for him would go."""
        macros = {
            **self._queue_id,
            **({"{rcpt_mailer}": route.mailer, "{rcpt_host}": route.host} if route else {}),
            "{rcpt_addr}": (route.user if route else "") or path,
        }
        return await self._each(lambda milter: milter.rcpt([f"<{path}>"], macros))

    async def data(self) -> Verdict:
        """DATA."""
        return await self._each(lambda milter: milter.data(self._queue_id))

    async def content(self, letter: Letter) -> Verdict:
        """The whole content. Each filter sees what those before it have made of it."""
        return await self._each(lambda milter: milter.content(letter, self._queue_id))

    def end_message(self) -> None:
        """The message is over, whatever became of it."""
        for milter in self.milters:
            milter.end_message()

    async def close(self) -> None:
        """The client is gone."""
        await asyncio.gather(*(milter.close() for milter in self.milters))

    async def _each(self, ask: Callable[[MilterSession], Awaitable[Verdict]]) -> Verdict:
        quarantine = ""
        for milter in self.milters:
            verdict = await ask(milter)
            if not verdict.is_accepted or verdict.is_discarded:
                return verdict
            quarantine = quarantine or verdict.quarantine
        return Verdict(quarantine=quarantine) if quarantine else ACCEPTED


def _name_and_address(client: Client) -> tuple[str, str]:
    """A program of this machine comes from where Postfix says it does."""
    if client.is_local_user:
        return "localhost", "127.0.0.1"
    return client.verified_name, client.address


def _arguments(mail: Mail) -> list[str]:
    """MAIL as the client gave it."""
    words = [f"<{mail.reverse_path}>"]
    if mail.size_bytes is not None:
        words.append(f"SIZE={mail.size_bytes}")
    if mail.body:
        words.append(f"BODY={mail.body}")
    return [*words, "SMTPUTF8"] if mail.smtputf8 else words
