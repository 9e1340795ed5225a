"""A .fetchmailrc with everything filled in: `defaults`, the command line, .netrc, fetchmail's own.

    what the command line says, then the entry, then `defaults`, then fetchmail's own

Pure: what the file does not say and the machine knows (`Surroundings`) is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.fetchmail_checks import check_idle, check_server
from relaynode.config.fetchmail_setup import Globals, Server, Setup, Surroundings, User
from relaynode.config.fetchmailrc import (
    DEFAULTS,
    NO_ENVELOPE,
    Fetchmailrc,
    ServerEntry,
    UserEntry,
    Values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDS_NO_PASSWORD = ("ssh", "gssapi", "kerberos_v5", "otp", "external")
_PATHS = ("bsmtp", "sslkey", "sslcert", "sslcertfile", "sslcertpath")
_UNSET = {"timeout": 0, "interval": 0, "envskip": 0, "auth": None, "badheader": None}
"""Of these the value named is as good as none."""


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
