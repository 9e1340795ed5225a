"""Servers and mailboxes of a .fetchmailrc as our accounts: [account.NAME] and [etrn.NAME].

Nothing is left out silently: an option becomes a key, or a remark that says what is otherwise here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from relaynode.config import schema
from relaynode.config.fetchmail_checks import port_number
from relaynode.config.fetchmail_setup import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from relaynode.config.fetchmail_setup import Server, Setup

_PROTOCOLS = {"auto": "imap", "pop3": "pop3", "apop": "pop3", "sdps": "pop3", "imap": "imap"}
_POP3_PORTS = (110, 995)
_AUTHS = {
    "cram-md5": ["CRAM-MD5"],
    "gssapi": ["GSSAPI"],
    "external": ["EXTERNAL"],
}
_HIDING = ("SCRAM-SHA-256", "SCRAM-SHA-1", "DIGEST-MD5", "CRAM-MD5")
"""Mechanisms that do not show the password to who reads the line."""

_OLD_TLS = ("tls1", "tls1.0", "tls1.1", "ssl2", "ssl3", "ssl2+", "ssl3+", "tls1+", "tls1.0+")
_HERE = ("localhost", "127.0.0.1", "::1", "[::1]")
_NOT_HERE = {
    "interface": "the link decides when an account is polled ([link.NAME])",
    "monitor": "the link decides when an account is polled ([link.NAME])",
    "plugout": "",
    "principal": "",
    "tracepolls": "the log says which account a message came from",
    "badheader": "a message with a broken header is taken in any case",
}
_USER_NOT_HERE = {
    "bsmtp": "use mda or smtphost",
    "mimedecode": "messages are never rewritten",
    "sslcertpath": "use sslcertfile",
    "sslcommonname": "the name in the certificate has to be the host's",
    "sslfingerprint": "fetchmail's is MD5; give the SHA-256 one as fingerprints = [...]",
}


@dataclass(slots=True)
class FoundAccount:
    """One mailbox, or one server to ask. `table`: account or etrn; `keys` are those of the schema.

    `remarks`: what is otherwise here, or missing. `is_usable`: False if nothing can be fetched.
    """

    table: str
    name: str
    pollname: str
    user: str
    line: int
    keys: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    password: str | None = field(default=None, repr=False)
    is_usable: bool = True


def accounts_of(
    setup: Setup,
    port_of: Callable[[str], int | None],
    *,
    servers: Iterable[Server] | None = None,
    is_node: bool = True,
) -> list[FoundAccount]:
    """An account for each mailbox of `servers`, all if None, in the order of the file.

    `is_node`: this machine's SMTP server is the node that fetches, so that its own queue takes the
    mail that is for `smtphost localhost`. Else that server gets it.
    """
    found: list[FoundAccount] = []
    names: set[str] = set()
    for server in setup.servers if servers is None else servers:
        for user in server.users:
            name = _unused(f"{user.remote}@{server.pollname}", names)
            found.append(_Mapping(setup, server, user, port_of, is_node=is_node).account(name))
    return found


def _unused(name: str, names: set[str]) -> str:
    number, unique = 2, name
    while unique in names:
        unique = f"{name}#{number}"
        number += 1
    names.add(unique)
    return unique


_KNOWN = {
    table: frozenset(info.encode_name for info in msgspec.structs.fields(kind))
    for table, kind in (("account", schema.AccountSection), ("etrn", schema.EtrnSection))
}


class _Mapping:
    """One mailbox on its way."""

    def __init__(
        self,
        setup: Setup,
        server: Server,
        user: User,
        port_of: Callable[[str], int | None],
        *,
        is_node: bool,
    ) -> None:
        self._setup, self._server, self._user = setup, server, user
        self._port_of, self._is_node = port_of, is_node

    def account(self, name: str) -> FoundAccount:
        server, user = self._server, self._user
        table = "etrn" if server.protocol == "etrn" else "account"
        account = FoundAccount(table, name, server.pollname, user.remote, server.line)
        if table == "account":
            account.password = user.password
            self._set(account, "protocol", self._protocol(account))
        self._connection(account)
        self._times(account)
        if table == "etrn" or server.protocol == "odmr":
            self._set(account, "domains", list(user.fetchdomains))
        else:
            self._mailbox(account)
            self._delivery(account)
        self._missing(account)
        return account

    def _set(self, account: FoundAccount, key: str, value: Any, *, default: Any = None) -> None:
        """A key, unless it says what is so anyway; one that we do not know becomes a remark."""
        if value == default:
            return
        if key in _KNOWN[account.table]:
            account.keys[key] = value
        else:
            account.remarks.append(f"{key} has no effect here")

    def _protocol(self, account: FoundAccount) -> str:
        protocol = self._server.protocol
        if protocol == "odmr":
            return "odmr"
        if protocol not in _PROTOCOLS:
            account.is_usable = False
            account.remarks.append(f"protocol {protocol} is not spoken here")
            return "pop3"
        if protocol == "auto":
            protocol = "pop3" if self._port() in _POP3_PORTS else "imap"
            account.remarks.append(f"protocol auto: taken for {protocol}; better say which it is")
        return _PROTOCOLS[protocol]

    def _port(self) -> int | None:
        service = self._server.service
        return None if service is None else port_number(service, self._port_of)

    # --- how the server is reached

    def _connection(self, account: FoundAccount) -> None:
        server, user, port = self._server, self._user, self._port()
        host = f"[{server.host}]" if ":" in server.host else server.host
        account.keys["host"] = host if port is None else f"{host}:{port}"
        account.keys["tls"] = self._tls(account)
        if account.table == "account":
            account.keys["user"] = user.remote
        self._set(account, "auth", self._auth(account), default=[])
        if account.keys["tls"] != "none":
            self._certificates(account)
        self._set(account, "timeout_seconds", server.timeout or 300, default=300)
        if server.plugin:
            account.is_usable = False  # what it would hide from the line is not shown there
            account.remarks.append("plugin: there are no connections through programs here")
        self._set(account, "preconnect", user.preconnect)
        self._set(account, "postconnect", user.postconnect)

    def _tls(self, account: FoundAccount) -> str:
        user = self._user
        if user.ssl:
            return "tls"
        # With APOP fetchmail never asks for TLS.
        if user.sslproto == "" or account.table == "etrn" or self._server.protocol == "apop":
            return "none"
        if not user.sslcertck and user.sslproto is None:
            account.remarks.append(
                "no sslcertck: TLS is asked for, and a server without it is not used;"
                " say sslproto '' for one that has none"
            )
        return "starttls"

    def _auth(self, account: FoundAccount) -> list[str]:
        server = self._server
        if server.protocol == "apop":
            return ["APOP"]
        if server.auth in (None, "password"):
            return []
        if server.auth in _AUTHS:
            return _AUTHS[server.auth]
        is_hidden = account.keys["tls"] == "none" and server.auth not in ("any", "ssh")
        account.remarks.append(
            f"auth {server.auth} is not known here: another way that the server offers is taken"
            + (", if it hides the password" if is_hidden else "")
        )
        return list(_HIDING) if is_hidden else []

    def _certificates(self, account: FoundAccount) -> None:
        user = self._user
        self._set(account, "verify", user.sslcertck, default=True)
        self._set(account, "ca_file", user.sslcertfile)
        self._set(account, "certificate", user.sslcert)
        self._set(account, "key", user.sslkey or user.sslcert)
        if user.sslproto is not None:
            self._set(account, "old_tls", user.sslproto.lower() in _OLD_TLS, default=False)

    def _times(self, account: FoundAccount) -> None:
        """What `set daemon` and `interval` say, for our daemon; `fetchmail -d` knows itself."""
        seconds, interval = self._setup.globals.poll_interval, self._server.interval
        if seconds and account.table == "account":
            account.keys["poll_minutes"] = max(1, round(seconds * max(1, interval) / 60))
            if interval:
                account.remarks.append("interval: fetchmail -d polls it each time")
        elif seconds:
            account.remarks.append("daemon: servers of ETRN are asked at link-ups alone")
        elif interval:
            account.remarks.append("interval: counts for nothing without `set daemon`")

    # --- what is fetched, and where it goes

    def _mailbox(self, account: FoundAccount) -> None:
        user = self._user
        self._set(account, "keep", user.keep, default=False)
        self._set(account, "fetch_all", user.fetchall, default=False)
        # Without keep, what was fetched is deleted in any case.
        self._set(account, "flush", user.flush and user.keep, default=False)
        if user.flush and account.keys["protocol"] == "imap":
            account.remarks.append(
                "flush: what somebody else has read, and we never fetched, stays"
            )
        self._set(account, "limit_bytes", user.limit, default=0)
        if user.limit:
            self._set(account, "warn_hours", max(1, -(-user.warnings // 3600)))
            if user.warnings < 3600:
                account.remarks.append("warnings: there is one letter an hour at most")
        self._set(account, "flush_oversized", user.limitflush and user.limit > 0, default=False)
        self._set(account, "fetch_limit", user.fetchlimit, default=0)
        self._set(account, "expunge", user.expunge, default=0)
        if account.keys.get("protocol") == "imap":
            self._set(account, "idle", user.idle, default=False)
            self._set(account, "folders", list(user.mailboxes), default=[])
        elif user.mailboxes:
            account.remarks.append("folder: POP3 has but one")
        self._set(account, "drop_status", user.dropstatus, default=False)
        self._set(account, "drop_delivered", user.dropdelivered, default=False)
        self._set(account, "fix_addresses", user.rewrite, default=False)

    def _delivery(self, account: FoundAccount) -> None:
        user = self._user
        if user.is_multidrop:
            self._multidrop(account)
            postmaster = self._setup.globals.postmaster
            account.remarks.append(
                f"postmaster {postmaster}: what is for nobody here goes to [node] postmaster"
            )
        else:
            name = user.localnames[0]
            account.keys["deliver_to"] = name if isinstance(name, str) else name[1]
        self._set(account, "mda", user.mda)
        if user.mda is None:
            self._set(account, "drop_off", self._drop_off(), default=[])
        self._set(account, "smtp_address", user.smtpaddress)
        self._set(account, "smtp_name", user.smtpname)

    def _multidrop(self, account: FoundAccount) -> None:
        server, user = self._server, self._user
        pairs = [(name, name) if isinstance(name, str) else name for name in user.localnames]
        self._set(account, "names", dict(pair for pair in pairs if pair != ("*", "*")), default={})
        self._set(account, "others_as_they_are", user.passes_others, default=False)
        if server.envelope != "Received":
            self._set(account, "envelope_header", (server.envelope or "").removesuffix(":"))
        self._set(account, "envelope_skip", server.envskip, default=0)
        self._set(account, "user_prefix", server.qvirtual or "", default="")
        self._set(account, "aka", list(server.aka), default=[])
        self._set(account, "local_domains", list(server.localdomains), default=[])
        self._set(account, "use_addressees", True)
        if server.dns:
            account.remarks.append(
                "dns: other names of the server are not looked up; list them as aka"
            )

    def _drop_off(self) -> list[str]:
        """None for the node itself, where the mail is queued and delivered as all other."""
        protocol = "lmtp" if self._user.lmtp else "smtp"
        places = self._user.smtphunt
        if protocol == "smtp" and places[0] in _HERE and self._is_node:
            return []
        return [f"{'lmtp' if place.startswith('/') else protocol}:{place}" for place in places]

    # --- what has no place here

    def _missing(self, account: FoundAccount) -> None:
        account.remarks += self._of_server()
        account.remarks += self._of_user()

    def _of_server(self) -> Iterator[str]:
        server = self._server
        for name, remedy in _NOT_HERE.items():
            if getattr(server, name):
                yield _remark(name, remedy)

    def _of_user(self) -> Iterator[str]:
        user = self._user
        for name, remedy in _USER_NOT_HERE.items():
            if getattr(user, name):
                yield _remark(name, remedy)
        if user.idle:
            yield "idle: the daemon does (relaynode serve); fetchmail polls"
        if user.antispam:
            yield "antispam: what a host refuses is bounced or kept, whatever the code"


def _remark(name: str, remedy: str) -> str:
    return f"{name} has no effect here" + (f": {remedy}" if remedy else "")
