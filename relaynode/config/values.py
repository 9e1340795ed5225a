"""Values of the configuration with a grammar of their own. Each `parse` raises ValueError."""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from relaynode.sasl import NAMES

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_PORT = 65535

_REPLY = re.compile(r"([45][0-5][0-9]) (?:([45]\.[0-9]{1,3}\.[0-9]{1,3}) )?([ -~]{1,400})")


@dataclass(frozen=True, slots=True)
class HostPort:
    """`name`, `name:port`, `[::1]:port` or `1.2.3.4:port`; `port` None means the usual one."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """Raises: ValueError."""
        host, port = text.strip(), ""
        if host.startswith("["):
            host, bracket, port = host[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise ValueError(f'"{text}" is no host:port; an IPv6 address is written [::1]:25')
            port = port.removeprefix(":")
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        if not host or any(char.isspace() or char in "/<>@" for char in host):
            raise ValueError(f'"{text}" is no host name or address')
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
            raise ValueError(f'"{port}" is no port number (1 to {MAX_PORT})')
        return cls(host, int(port) if port else None)

    def with_default(self, port: int) -> tuple[str, int]:
        """Host and port, `port` if none was written."""
        return self.host, self.port or port

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostPorts(HostPort):
    """A host, and `others` that are tried when it cannot be used: a text, or a list of such."""

    others: tuple[HostPort, ...] = ()

    @classmethod
    def parse_any(cls, value: object) -> HostPorts:
        """Raises: ValueError."""
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("wants a host, or a list of hosts: each a text in quotes")
        first, *others = map(HostPort.parse, texts)
        return cls(first.host, first.port, tuple(others))

    @property
    def all(self) -> tuple[HostPort, ...]:
        """In the order in which they are tried."""
        return HostPort(self.host, self.port), *self.others


UNIX_SOCKET = "unix:"


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A server on this machine or a near one: `unix:/path/of/its/socket`, or a host as HostPort has
    it. One of the two is None."""

    path: Path | None
    where: HostPort | None = None

    @classmethod
    def parse(cls, text: str) -> ServerPlace:
        """Raises: ValueError."""
        if not text.startswith(UNIX_SOCKET):
            return cls(None, HostPort.parse(text))
        path = Path(text.removeprefix(UNIX_SOCKET))
        if not path.is_absolute():
            raise ValueError(f'"{text}" is no socket; one is written unix:/run/dovecot/lmtp')
        return cls(path)

    def __str__(self) -> str:
        return str(self.where) if self.path is None else f"{UNIX_SOCKET}{self.path}"


@dataclass(frozen=True, slots=True)
class NameServer(HostPort):
    """A name server: an IP address, with or without a port."""

    @classmethod
    def parse(cls, text: str) -> NameServer:
        """Raises: ValueError."""
        where = HostPort.parse(text)
        try:
            return cls(str(ipaddress.ip_address(where.host)), where.port)
        except ValueError:
            raise ValueError(f'"{text}" is no IP address: who would be asked for it?') from None


@dataclass(frozen=True, slots=True)
class SmartHostNames:
    """Smart hosts by their [smart_host.NAME], in the order in which they are tried: a text, or a
    list of such; an empty list means none."""

    names: tuple[str, ...]

    @classmethod
    def parse_any(cls, value: object) -> SmartHostNames:
        """Raises: ValueError."""
        names: list[Any] = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError("wants the name of a smart host, or a list of such")
        return cls(tuple(names))


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """An IP address of this machine."""

    address: Address

    @classmethod
    def parse(cls, text: str) -> OwnAddress:
        """Raises: ValueError."""
        try:
            return cls(ipaddress.ip_address(text.strip().strip("[]")))
        except ValueError:
            raise ValueError(f'"{text}" is no IP address') from None

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address of our own to listen on, always with a port."""

    address: Address
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """Raises: ValueError."""
        where = HostPort.parse(text)
        if where.port is None:
            raise ValueError(f'"{text}" lacks a port: write {text}:25')
        name = "127.0.0.1" if where.host == "localhost" else where.host
        try:
            return cls(ipaddress.ip_address(name), where.port)
        except ValueError:
            raise ValueError(f'"{where.host}" is no IP address') from None

    def __str__(self) -> str:
        return str(HostPort(str(self.address), self.port))


@dataclass(frozen=True, slots=True)
class Network:
    """`192.168.1.0/24`, `2001:db8::/32`, or one address."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def parse(cls, text: str) -> Network:
        """Raises: ValueError."""
        try:
            return cls(ipaddress.ip_network(text.strip()))
        except ValueError as error:
            raise ValueError(f"{error}; a network is written 192.168.1.0/24") from None

    def __contains__(self, address: object) -> bool:
        return address in self.network


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where local mail goes: a pattern with `~` (the user's home) and `{user}`.

    A slash at the end means Maildir, none means mbox, as in Postfix's home_mailbox.
    """

    pattern: str

    @classmethod
    def parse(cls, text: str) -> Mailbox:
        """Raises: ValueError."""
        if not text.startswith(("/", "~/")):
            raise ValueError(f'"{text}" must begin with / or ~/')
        if text.startswith("/") and "{user}" not in text:
            raise ValueError(f'"{text}" must hold {{user}}, or all users would share it')
        if "{" in text.replace("{user}", "") or "}" in text.replace("{user}", ""):
            raise ValueError(f'"{text}" may hold {{user}} only')
        return cls(text)

    @property
    def is_maildir(self) -> bool:
        return self.pattern.endswith("/")

    @property
    def needs_home(self) -> bool:
        return self.pattern.startswith("~/")

    def path(self, user: str, home: Path | None) -> Path:
        """The mailbox of `user`, whose home is needed only if `needs_home`."""
        pattern = self.pattern.replace("{user}", user)
        return home / pattern[2:] if self.needs_home and home is not None else Path(pattern)


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments: a list, or one text that is divided as a shell would. No shell
    runs it. The arguments are not shown: they may hold what leads to a secret."""

    words: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Command:
        """Raises: ValueError."""
        try:
            return cls.of(shlex.split(text))
        except ValueError as error:
            raise ValueError(f"no command: {error}".lower()) from None

    @classmethod
    def of(cls, words: list[str]) -> Command:
        """Raises: ValueError."""
        if not words or not words[0] or any("\0" in word for word in words):
            raise ValueError("wants a program and its arguments")
        return cls(tuple(words))

    def __str__(self) -> str:
        return self.words[0]


@dataclass(frozen=True, slots=True)
class ReplyText:
    """A reply that says no: `553 5.7.1 text`, or without the enhanced code."""

    code: int
    enhanced: str
    text: str

    @classmethod
    def parse(cls, text: str) -> ReplyText:
        """Raises: ValueError."""
        found = _REPLY.fullmatch(text)
        if found is None or (found[2] and found[2][0] != found[1][0]):
            raise ValueError(f'"{text}" is no refusal; write for example "553 5.7.1 Not yours"')
        return cls(int(found[1]), found[2] or "", found[3])

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


class SaslName(str):
    """A login mechanism that we know, in upper case."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> SaslName:
        """Raises: ValueError."""
        if text.upper() not in NAMES:
            raise ValueError(f'"{text}" is no mechanism; known here: {", ".join(NAMES)}')
        return cls(text.upper())


class MailboxLogin(SaslName):
    """A login mechanism, or APOP, which POP3 alone has."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> MailboxLogin:
        """Raises: ValueError."""
        return cls("APOP" if text.upper() == "APOP" else super().parse(text))


@dataclass(frozen=True, slots=True)
class TokenUrl:
    """Where an OAuth server gives tokens: under https, or on this machine."""

    text: str

    @classmethod
    def parse(cls, text: str) -> TokenUrl:
        """Raises: ValueError."""
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f'"{text}" is no URL: {error}') from None
        is_here = host in ("localhost", "127.0.0.1", "::1")
        if not host or parts.username or parts.scheme not in ("https", "http"):
            raise ValueError(f'"{text}" is no https://host/path')
        if parts.scheme == "http" and not is_here:
            raise ValueError(f'"{text}" would show the tokens to everybody; write https://')
        return cls(text)

    def __str__(self) -> str:
        return self.text


class Password:
    """A secret that no log or traceback shows. `reveal` is for the one who sends it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret."""
        return self._text

    def __repr__(self) -> str:
        return "Password(...)"
