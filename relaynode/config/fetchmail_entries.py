"""A .fetchmailrc with everything filled in: `defaults`, the command line, .netrc, fetchmail's own.

    what the command line says, then the entry, then `defaults`, then fetchmail's own

The types mirror what `fetchmail --configdump` prints, field by field and in that order. Pure: what
the file does not say and the machine knows (`Surroundings`) is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.fetchmail_checks import check_idle, check_server
from relaynode.config.fetchmailrc import (
    DEFAULTS,
    NO_ENVELOPE,
    Fetchmailrc,
    ServerEntry,
    UserEntry,
    Values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LocalName = str | tuple[str, str]

_NEEDS_NO_PASSWORD = ("ssh", "gssapi", "kerberos_v5", "otp", "external")
_PATHS = ("bsmtp", "sslkey", "sslcert", "sslcertfile", "sslcertpath")
_UNSET = {"timeout": 0, "interval": 0, "envskip": 0, "auth": None, "badheader": None}
"""Of these the value named is as good as none."""


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


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says of every server and user, and which servers it names."""

    globals: Values = field(default_factory=dict)
    server: Values = field(default_factory=dict)
    user: Values = field(default_factory=dict)
    hosts: Sequence[str] = ()


def complete(rc: Fetchmailrc, around: Surroundings, overrides: Overrides | None = None) -> Setup:
    """Fill everything in and check it. Raises: FetchmailrcError."""
    overrides = overrides or Overrides()
    warnings: list[str] = []
    entries = list(rc.servers)
    template = ServerEntry(DEFAULTS)
    if entries and entries[0].name == DEFAULTS:
        template = entries.pop(0)
    named = _named(entries, overrides.hosts)
    servers = []
    for index, entry in enumerate(entries):
        server = _server(entry, template, overrides, around, is_named=index in named)
        check_server(
            server,
            is_envelope_said=_is_said("envelope", entry, template, overrides.server),
            around=around,
            warnings=warnings,
        )
        servers.append(server)
    check_idle(servers, warnings)
    settings = _globals({**rc.globals, **overrides.globals}, around, warnings)
    return Setup(settings, servers, warnings)


def _named(entries: list[ServerEntry], hosts: Sequence[str]) -> set[int]:
    """Which entries the command line means; a host that is in none gets one of its own."""
    named = set()
    for host in hosts:
        found = {
            index
            for index, entry in enumerate(entries)
            if host == entry.name or host in entry.values.get("aka", ())
        }
        if not found:
            found = {len(entries)}
            entries.append(ServerEntry(host, values={"via": host}))
        named |= found
    return named


def _is_said(name: str, entry: ServerEntry, template: ServerEntry, override: Values) -> bool:
    return any(name in values for values in (override, entry.values, template.values))


def _globals(values: Values, around: Surroundings, warnings: list[str]) -> Globals:
    found = Globals(
        idfile=f"{around.home}/.fetchids",
        postmaster="postmaster" if around.is_root else around.login,
    )
    for name, value in values.items():
        setattr(found, name, value)
    found.idfile = around.absolute(found.idfile)
    found.poll_interval = max(0, found.poll_interval)
    if found.logfile is not None:
        found.logfile = around.absolute(found.logfile)
        if not around.is_there(found.logfile):
            warnings.append(f'Logfile "{found.logfile}" does not exist, ignoring logfile option.')
            found.logfile = None
        else:
            found.syslog = False
    return found


def _said(*layers: Values) -> Values:
    """The layers in one; the first that says something counts."""
    found: Values = {}
    for layer in reversed(layers):
        found.update(
            (name, value)
            for name, value in layer.items()
            if not (name in _UNSET and value == _UNSET[name])
        )
    return found


def _server(
    entry: ServerEntry,
    template: ServerEntry,
    overrides: Overrides,
    around: Surroundings,
    *,
    is_named: bool,
) -> Server:
    inherited = {name: value for name, value in template.values.items() if name != "aka"}
    values = _said(overrides.server, entry.values, inherited)
    server = Server(entry.name, entry.is_active, esmtpname=around.login)
    server.is_named, server.line = is_named, entry.line
    for name, value in values.items():
        setattr(server, name, max(0, value) if type(value) is int else value)
    if values.get("envelope") is NO_ENVELOPE:
        server.envelope = None
    base = template.users[0] if template.users else UserEntry()
    for user in entry.users or [UserEntry()]:
        server.users.append(_user(user, base, overrides.user, server, around))
    return server


def _user(
    entry: UserEntry, base: UserEntry, override: Values, server: Server, around: Surroundings
) -> User:
    values = _said(override, entry.values, base.values)
    user = User(values.pop("remote", around.login))
    for name, value in values.items():
        setattr(user, name, max(0, value) if type(value) is int else value)
    user.localnames = list(entry.names or base.names) or [around.login]
    if entry.passes_others or base.passes_others:
        user.localnames.append("*")
    if user.mda is not None and "stripcr" not in values:
        user.stripcr = True
    for name in _PATHS:
        if (path := getattr(user, name)) is not None:
            setattr(user, name, around.absolute(path))
    if server.protocol in ("etrn", "odmr") and not user.fetchdomains:
        user.fetchdomains = [around.hostname]
    if user.password is None:
        user.password = _password(server, user, around)
    return user


def _password(server: Server, user: User, around: Surroundings) -> str | None:
    if not server.active and not server.is_named:
        return None
    if server.protocol == "etrn" or server.auth in _NEEDS_NO_PASSWORD:
        return user.remote
    hosts = dict.fromkeys((server.host, server.pollname))
    return next(
        (secret for host in hosts if (secret := around.secret_of(host, user.remote)) is not None),
        None,
    )
