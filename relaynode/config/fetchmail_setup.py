"""What a .fetchmailrc comes to when all is filled in: mirrors what `fetchmail --configdump` prints,
field by field and in that order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LocalName = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the machine and the caller add. `folder`: where relative paths begin."""

    login: str
    hostname: str
    home: str
    folder: str
    is_root: bool = False
    port_of: Callable[[str], int | None] = lambda service: None
    is_there: Callable[[str], bool] = lambda path: False
    secret_of: Callable[[str, str], str | None] = lambda host, login: None

    def absolute(self, path: str) -> str:
        """A path; nothing and `-` stay what they are."""
        return path if path in ("", "-") or path.startswith("/") else f"{self.folder}/{path}"


@dataclass(slots=True)
class User:
    """One mailbox on a server."""

    remote: str
    password: str | None = field(default=None, repr=False)
    localnames: list[LocalName] = field(default_factory=list)
    fetchall: bool = False
    keep: bool = False
    flush: bool = False
    limitflush: bool = False
    rewrite: bool = True
    stripcr: bool = False
    forcecr: bool = False
    pass8bits: bool = False
    dropstatus: bool = False
    dropdelivered: bool = False
    mimedecode: bool = False
    idle: bool = False
    mda: str | None = None
    bsmtp: str | None = None
    lmtp: bool = False
    preconnect: str | None = None
    postconnect: str | None = None
    limit: int = 0
    warnings: int = 3600
    fetchlimit: int = 0
    fetchsizelimit: int = 100
    fastuidl: int = 4
    batchlimit: int = 0
    ssl: bool = False
    sslkey: str | None = None
    sslcert: str | None = None
    sslproto: str | None = None
    sslcertck: bool = True
    sslcertfile: str | None = None
    sslcertpath: str | None = None
    sslcommonname: str | None = None
    sslfingerprint: str | None = None
    expunge: int = 0
    properties: str | None = None
    smtphunt: list[str] = field(default_factory=lambda: ["localhost"])
    fetchdomains: list[str] = field(default_factory=list)
    smtpaddress: str | None = None
    smtpname: str | None = None
    antispam: list[int] = field(default_factory=list)
    mailboxes: list[str] = field(default_factory=list)

    @property
    def is_multidrop(self) -> bool:
        """Is the mailbox one for several people?"""
        return len(self.localnames) > 1

    @property
    def passes_others(self) -> bool:
        """Are names that are not listed local names too?"""
        return "*" in self.localnames


@dataclass(slots=True)
class Server:
    """One entry. What follows `users` is in no dump. `line`: where the entry begins, or 0."""

    pollname: str
    active: bool = True
    via: str | None = None
    protocol: str = "auto"
    service: str | None = None
    timeout: int = 300
    interval: int = 0
    envelope: str | None = "Received"
    envskip: int = 0
    qvirtual: str | None = None
    auth: str | None = None
    dns: bool = True
    uidl: bool = False
    aka: list[str] = field(default_factory=list)
    localdomains: list[str] = field(default_factory=list)
    interface: str | None = None
    monitor: str | None = None
    plugin: str | None = None
    plugout: str | None = None
    principal: str | None = None
    esmtpname: str = ""
    tracepolls: bool = False
    badheader: bool = False
    users: list[User] = field(default_factory=list)
    esmtppassword: str | None = field(default=None, repr=False)
    checkalias: bool = False
    is_named: bool = False
    line: int = 0

    @property
    def host(self) -> str:
        """The machine's name."""
        return self.via or self.pollname


@dataclass(slots=True)
class Globals:
    """What `set` says. What follows `syslog` is in no dump."""

    poll_interval: int = 0
    logfile: str | None = None
    idfile: str = ""
    postmaster: str = ""
    bouncemail: bool = True
    spambounce: bool = False
    softbounce: bool = True
    properties: str | None = None
    invisible: bool = False
    showdots: bool = False
    syslog: bool = False
    pidfile: str | None = None


@dataclass(slots=True)
class Setup:
    """All of it. `warnings`: lines that fetchmail prints and goes on."""

    globals: Globals
    servers: list[Server]
    warnings: list[str]

    @property
    def polled(self) -> list[Server]:
        """The servers to visit: those that were named, or all that are not to be skipped."""
        named = [server for server in self.servers if server.is_named]
        return named or [server for server in self.servers if server.active]
