"""From relaynode.toml to a `Config`, or to the list of all that is wrong with it.

Every key is decoded on its own, so that one mistake does not hide the next; what belongs together
(a link that is named and does not exist) is checked afterwards.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import tomllib
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from relaynode.config import schema
from relaynode.config.drop_off import check_recipients
from relaynode.config.folder_checks import check_folders
from relaynode.config.listen_checks import check_doors
from relaynode.config.login_checks import check_logins, remotes
from relaynode.config.node_user import check_user, uid_of
from relaynode.config.secrets import read_password
from relaynode.config.toml_lines import key_lines, line_of
from relaynode.config.uucp_checks import check_uucp
from relaynode.config.values import (
    HostPort,
    HostPorts,
    ListenAddress,
    Mailbox,
    Network,
    Password,
    SmartHostNames,
)
from relaynode.errors import AddressError, ConfigError, Problem
from relaynode.mail.address import parse_path
from relaynode.tables.relay_value import relay_problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from relaynode.config.from_fetchmail import FoundAccount

_DOMAIN_LISTS = (
    ("node", "local_domains"),
    ("masquerade", "domains"),
    ("masquerade", "exceptions"),
    ("masquerade", "generics_domains"),
    ("routing", "virtual_domains"),
    ("routing", "uucp_old"),
    ("routing", "uucp_new"),
    ("routing", "uucp_uudom"),
)
"""Lists of domains; one that begins with a slash is a file of them."""

_MAILBOX_KEYS = (
    "keep",
    "fetch_all",
    "flush",
    "limit_bytes",
    "flush_oversized",
    "fetch_limit",
    "expunge",
    "delete_after_days",
    "header_first_bytes",
)
"""Keys of [account.NAME] for messages that lie in a mailbox."""

_KEPT_AS = {
    "called_password_file": "called",
    "client_secret_file": "client_secret",
    "refresh_token_file": "refresh_token",
}
"""Tables of `passwords` for keys that are no password_file."""

DEFAULT_LINK = "default"
"""The link of everything that names none: always up."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings that have been checked. `passwords` is keyed by the file's table and name."""

    path: Path | None
    hostname: str
    spool: Path
    tables: Path
    local_domains: frozenset[str]
    mailbox: Mailbox
    file: schema.File
    links: dict[str, schema.LinkSection]
    passwords: dict[tuple[str, str], Password] = field(repr=False)

    @property
    def control_socket(self) -> Path:
        """Where the daemon takes commands."""
        return self.spool / "control"

    @property
    def aliases(self) -> Path:
        """The aliases file: that of [local], or the one among the tables."""
        named = self.file.local.aliases
        if named is None:
            return self.tables / "aliases"
        return self.absolute(named)

    @property
    def uux(self) -> Path | None:
        """The uux that the UUCP mailers run, if the configuration names one."""
        named = self.file.routing.uux
        return None if named is None else self.absolute(named)

    @property
    def default_smart_host(self) -> str | None:
        """The smart host for all that is not routed otherwise, None if there is none."""
        return next(iter(self.default_smart_hosts), None)

    @property
    def default_smart_hosts(self) -> list[str]:
        """Those for all that is not routed otherwise, the best first: [node]'s, or the first."""
        named = self.file.node.smart_host
        return list(self.file.smart_host)[:1] if named is None else list(named.names)

    def link_of(self, section: schema.RemoteSection | schema.NeighbourSection) -> str:
        """The name of the link that a smart host, account or neighbour is reached over."""
        return section.link or DEFAULT_LINK

    @property
    def world_link(self) -> str:
        """The link to hosts that only a table names: as the smart host is reached, or the first."""
        name = self.default_smart_host
        if name is not None:
            return self.link_of(self.file.smart_host[name])
        return next(iter(self.file.link), DEFAULT_LINK)

    @property
    def mail_links(self) -> list[str]:
        """The links that mail may leave over."""
        used = [self.link_of(section) for section in self.file.smart_host.values()]
        return list(dict.fromkeys([*used, self.world_link]))

    def source_addresses(self, link: str) -> tuple[str, ...]:
        """Our own addresses that connections over a link are made from, if it says which."""
        return tuple(map(str, self.links[link].source_address))

    def absolute(self, path: Path) -> Path:
        """A path as the file means it: relative to the folder that the file is in."""
        folder = self.path.parent if self.path is not None else Path.cwd()
        return folder / _expanded(path)


def search_path(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The places where a configuration is looked for, in order."""
    places = []
    if named := environ.get("RELAYNODE_CONFIG"):
        places.append(Path(named))
    home = environ.get("XDG_CONFIG_HOME") or "~/.config"
    places.append(_expanded(Path(home)) / "relaynode" / "relaynode.toml")
    places.append(Path("/etc/relaynode/relaynode.toml"))
    return places


def find(named: Path | None = None) -> Path | None:
    """The configuration file to use; None if there is none and none was named."""
    if named is not None:
        return named
    if os.environ.get("RELAYNODE_CONFIG"):
        return Path(os.environ["RELAYNODE_CONFIG"])
    return next((path for path in search_path() if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    """One that may not be looked at is there: what it says must not be passed over."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def load(
    path: Path | None,
    *,
    with_secrets: bool = True,
    accounts: Sequence[FoundAccount] | None = None,
) -> Config:
    """Read and check the file at `path`, or take the defaults.

    `with_secrets`: false for commands that any user may run and that need no passwords: files of
    passwords are not looked at. `accounts`: of a .fetchmailrc, in place of those of the file.
    Raises: ConfigError.
    """
    if path is None:
        return _Checker("(defaults)", None, {}, {}, accounts=accounts).config()
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigError([Problem(str(path), None, error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), None, "not UTF-8", "save it as UTF-8")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(str(path), error)]) from error
    lines = key_lines(text)
    if accounts is not None:
        for table in ("account", "etrn", "fetch"):
            data.pop(table, None)
    checker = _Checker(
        str(path), path.absolute(), data, lines, with_secrets=with_secrets, accounts=accounts
    )
    return checker.config()


def _syntax_problem(file: str, error: tomllib.TOMLDecodeError) -> Problem:
    text, _, place = str(error).partition(" (at ")
    line = re.match(r"line ([0-9]+)", place)
    return Problem(file, int(line[1]) if line else None, f"not TOML: {text}")


class _Checker:
    """One file on its way to a Config; collects problems."""

    def __init__(
        self,
        name: str,
        path: Path | None,
        data: dict[str, Any],
        lines: dict[tuple[str, ...], int],
        *,
        with_secrets: bool = True,
        accounts: Sequence[FoundAccount] | None = None,
    ) -> None:
        self._name = name
        self._accounts = accounts
        self._with_secrets = with_secrets
        self._path = path
        self._folder = path.parent if path is not None else Path.cwd()
        self._data = data
        self._lines = lines
        self._problems: list[Problem] = []
        self._passwords: dict[tuple[str, str], Password] = {}
        self._node_uid: int | None = None

    def config(self) -> Config:
        file = self._section(schema.File, self._data, ())
        assert file is not None  # it has no required keys
        for where, text, remedy in check_user(file, self._path):
            self._problem(where, text, remedy)
        self._node_uid = uid_of(file.node.user)
        self._check_links(file)
        self._check_remotes(file)
        self._check_listeners(file)
        self._check_milters(file)
        self._check_quota(file)
        self._check_domains(file)
        self._check_relays(file)
        self._check_uucp(file)
        file = self._with_fetchmailrc(file)
        if self._problems:
            self._problems.sort(key=lambda problem: problem.line or 0)
            raise ConfigError(self._problems)
        return self._finish(file)

    def _finish(self, file: schema.File) -> Config:
        hostname = (file.node.hostname or socket.gethostname()).rstrip(".")
        # sendmail answers to its first name too.
        own = {hostname, hostname.partition(".")[0], "localhost", *file.node.local_domains}
        spool = file.node.spool or default_spool(self._path)
        mailbox = file.local.mailbox or _default_mailbox(file.node.user)
        return Config(
            path=self._path,
            hostname=hostname,
            spool=self._absolute(spool),
            tables=self._absolute(file.node.tables),
            local_domains=frozenset(domain.lower().rstrip(".") for domain in own),
            mailbox=mailbox,
            file=file,
            links={DEFAULT_LINK: schema.LinkSection(kind="always"), **file.link},
            passwords=self._passwords,
        )

    def _absolute(self, path: Path) -> Path:
        return self._folder / _expanded(path)

    def _with_fetchmailrc(self, file: schema.File) -> schema.File:
        """The accounts of a .fetchmailrc beside those of the file."""
        accounts = self._accounts
        if accounts is None:
            if file.fetch.fetchmailrc is None or not self._with_secrets:
                return file
            # Most configurations name none, and need none of that.
            from relaynode.config.fetchmailrc_accounts import FetchmailrcError, accounts_in

            rc = self._absolute(file.fetch.fetchmailrc)
            try:
                accounts = accounts_in(rc, file.node.hostname)
            except FetchmailrcError as error:
                self._problem(("fetch", "fetchmailrc"), str(error))
                return file
        tables: dict[str, dict[str, Any]] = {"account": {**file.account}, "etrn": {**file.etrn}}
        kinds: dict[str, type[msgspec.Struct]] = {
            "account": schema.AccountSection,
            "etrn": schema.EtrnSection,
        }
        for found in accounts:
            if found.name in tables[found.table]:
                text = f'there is an [{found.table}."{found.name}"] already'
                self._problem(("fetch", "fetchmailrc"), text, "take one of them away")
            if (section := self._found_section(found, kinds[found.table])) is not None:
                tables[found.table][found.name] = section
            if found.password is not None:
                self._passwords[found.table, found.name] = Password(found.password)
        return msgspec.structs.replace(file, account=tables["account"], etrn=tables["etrn"])

    def _found_section(self, found: FoundAccount, kind: type[msgspec.Struct]) -> Any:
        """An account's section; what is wrong with it is told where the .fetchmailrc has it."""
        before = len(self._problems)
        section = self._section(kind, found.keys, (found.table, found.name))
        if isinstance(section, schema.AccountSection):
            self._check_account(found.name, section, found.keys)
        rc = self._data.get("fetch", {}).get("fetchmailrc", ".fetchmailrc")
        self._problems[before:] = [
            Problem(str(rc), found.line or None, problem.text, problem.remedy)
            for problem in self._problems[before:]
        ]
        return section

    # --- one value at a time

    def _problem(self, path: tuple[str, ...], text: str, remedy: str = "") -> None:
        self._problems.append(Problem(self._name, line_of(self._lines, path), text, remedy))

    def _section(self, kind: type[msgspec.Struct], data: Any, path: tuple[str, ...]) -> Any:
        """A struct out of a table; a wrong value that has a default gives way to it, so that the
        rest can be checked. None when a required one is missing or wrong."""
        if not isinstance(data, dict):
            self._problem(path, f"{_shown(path)} must be a table", f"write [{_shown(path)}]")
            return None
        fields = {info.encode_name: info for info in msgspec.structs.fields(kind)}
        self._report_unknown_keys(data, list(fields), path)
        values = {}
        is_good = True
        for key, info in fields.items():
            value = self._value(info.type, data[key], (*path, key)) if key in data else None
            if value is not None:
                values[info.name] = value
            elif info.required:
                is_good = False
                if key not in data:
                    self._problem(path, f"[{_shown(path)}] lacks {key}", _wanted(info.type))
        return kind(**values) if is_good else None

    def _report_unknown_keys(
        self, data: dict[str, Any], known: list[str], path: tuple[str, ...]
    ) -> None:
        for key in data:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                remedy = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
                what = f"unknown key {key} in [{_shown(path)}]"
                self._problem((*path, key), what if path else f"unknown table [{key}]", remedy)

    def _value(self, kind: Any, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._section(kind, value, path)
        if get_origin(kind) is dict and get_args(kind)[1] is not str:
            if not isinstance(value, dict):
                self._problem(path, f"[{path[0]}] must have named tables", f"[{path[0]}.isp]")
                return None
            section = get_args(kind)[1]
            named = {key: self._section(section, item, (*path, key)) for key, item in value.items()}
            return {key: item for key, item in named.items() if item is not None}
        try:
            return _convert(value, kind)
        except (msgspec.ValidationError, ValueError) as error:
            text = re.sub(r" - at `.*`$", "", str(error))
            self._problem(path, f"{_shown(path)}: {_plain(text)}", _wanted(kind))
            return None

    # --- what belongs together

    def _check_links(self, file: schema.File) -> None:
        links = {*self._named("link"), DEFAULT_LINK}
        for name in file.link:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
                self._problem(("link", name), f'"{name}" is no link name', "letters, digits, - _")
            self._check_turns(name, file.link[name])
            self._check_dial(name, file.link[name])
            self._check_budget(name, file.link[name])
        using: tuple[
            tuple[str, Mapping[str, schema.RemoteSection | schema.NeighbourSection]], ...
        ] = (
            *remotes(file),
            ("neighbour", file.neighbour),
        )
        for table, sections in using:
            for name, section in sections.items():
                if section.link is not None and section.link not in links:
                    known = ", ".join(file.link) or "none is defined"
                    text = f'there is no link "{section.link}" (links: {known})'
                    self._problem((table, name, "link"), text, f"add [link.{section.link}]")
        if file.node.smart_host is not None:
            self._check_smart_hosts(file, file.node.smart_host, ("node", "smart_host"))
        for sender, its in file.sender.items():
            self._check_smart_hosts(file, its.smart_host, ("sender", sender, "smart_host"))
            self._check_sender(sender)

    def _check_budget(self, name: str, section: schema.LinkSection) -> None:
        prices = ("cost_per_minute", "cost_per_megabyte", "cost_per_call")
        if any(getattr(section, price) for price in prices):
            return
        for period in ("session", "day", "month"):
            key = f"budget_money_per_{period}"
            if getattr(section, key) is not None:
                remedy = f"add {', '.join(prices[:-1])} or {prices[-1]}"
                self._problem(("link", name, key), f"{key}: nothing costs any", remedy)

    def _check_quota(self, file: schema.File) -> None:
        for one in file.quota.links:
            if one.whose not in {*self._named("link"), DEFAULT_LINK}:
                known = ", ".join(file.link) or "none is defined"
                text = f'there is no link "{one.whose}" (links: {known})'
                self._problem(("quota", "links"), text, f"add [link.{one.whose}]")
        for one in file.quota.senders:
            whole = f"x{one.whose}" if one.whose.startswith("@") else one.whose
            self._check_path(whole, ("quota", "senders"))

    def _check_turns(self, name: str, link: schema.LinkSection) -> None:
        if link.timetable is not None and not link.timetable.has_turn_in(link.window):
            text = f'no turn of "{link.timetable}" lies in the window {link.window}'
            self._problem(("link", name, "timetable"), f"link.{name}.timetable: {text}")

    def _check_dial(self, name: str, link: schema.LinkSection) -> None:
        path = ("link", name, "up_command")
        if link.kind == "dial" and link.up_command is None:
            self._problem(path, f"link.{name}: nothing dials it", "add up_command")
        if link.kind != "dial" and link.up_command is not None:
            text = f"link.{name}.up_command: a link of kind {link.kind} is not dialled"
            self._problem(path, text, 'set kind = "dial"')

    def _check_smart_hosts(
        self, file: schema.File, named: SmartHostNames, path: tuple[str, ...]
    ) -> None:
        for name in named.names:
            if name not in self._named("smart_host"):
                known = ", ".join(file.smart_host) or "none is defined"
                self._problem(path, f'there is no smart host "{name}" (smart hosts: {known})')

    def _check_sender(self, key: str) -> None:
        path = ("sender", key)
        if "@" not in key:
            remedy = 'write [sender."user@example.net"] or [sender."@example.net"]'
            self._problem(path, f'"{key}" is no sender', remedy)
        else:
            self._check_path(f"x{key}" if key.startswith("@") else key, path)

    def _named(self, table: str) -> Iterable[str]:
        """The names below a table: what has a mistake in it exists all the same."""
        written = self._data.get(table)
        return written if isinstance(written, dict) else ()

    def _written(self, path: tuple[str, ...]) -> Collection[str]:
        """The keys below a table, right or wrong."""
        table: Any = self._data
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        return table if isinstance(table, dict) else ()

    def _check_remotes(self, file: schema.File) -> None:
        for path, text, remedy in check_logins(file, self._absolute, self._written):
            self._problem(path, text, remedy)
        for table, sections in remotes(file):
            for name, section in sections.items():
                if section.password_file is not None:
                    self._check_password(table, name, section.password_file)
        for name, oauth in file.oauth.items():
            for key in ("client_secret_file", "refresh_token_file"):
                if (secret := getattr(oauth, key)) is not None:
                    is_given = key == "refresh_token_file" and oauth.device_url is not None
                    remedy = f"relaynode auth {name} gets one" if is_given else ""
                    self._check_password("oauth", name, secret, key, remedy)
        for name, account in file.account.items():
            self._check_account(name, account)
            link = file.link.get(account.link or DEFAULT_LINK)
            if account.idle and link is not None and link.kind != "always":
                text = 'idle is for accounts whose link has kind = "always"'
                self._problem(("account", name, "idle"), text, "write poll_minutes instead")
        for name, user in file.user.items():
            self._check_password("user", name, user.password_file)

    def _check_account(
        self, name: str, account: schema.AccountSection, written: Collection[str] | None = None
    ) -> None:
        """ODMR brings each message with its own recipients, POP3 without any."""
        place = ("account", name)
        for path, text, remedy in check_recipients(
            place, account, self._written(place) if written is None else written
        ):
            self._problem(path, text, remedy)
        for path, text, remedy in check_folders(place, account):
            self._problem(path, text, remedy)
        if account.protocol == "odmr":
            for key in ("deliver_to", *_MAILBOX_KEYS):
                if getattr(account, key):
                    text = f'{key} means nothing for protocol = "odmr"'
                    self._problem((*place, key), text, "take it away")
            return
        for key in ("flush", "delete_after_days"):
            if getattr(account, key) and not account.keep:
                text = f"{key} means nothing without keep = true: all that was fetched is deleted"
                self._problem((*place, key), text, "take it away, or write keep = true")
        if account.idle and account.protocol != "imap":
            text = f'idle means nothing for protocol = "{account.protocol}"'
            self._problem((*place, "idle"), text, "take it away")
        if account.flush_oversized and not account.limit_bytes:
            text = "flush_oversized means nothing without limit_bytes"
            self._problem((*place, "flush_oversized"), text, "take it away, or write limit_bytes")
        if account.domains:
            text = f'domains means nothing for protocol = "{account.protocol}"'
            self._problem((*place, "domains"), text, "take it away")

    def _check_password(
        self, table: str, name: str, path: Path, key: str = "password_file", remedy: str = ""
    ) -> None:
        """Its table in `passwords` is the file's, or what `_KEPT_AS` says of the key."""
        if not self._with_secrets:
            return
        kept = _KEPT_AS.get(key, table)
        try:
            self._passwords[kept, name] = read_password(self._absolute(path), self._node_uid)
        except ValueError as error:
            self._problem((table, name, key), str(error), remedy)

    def _check_uucp(self, file: schema.File) -> None:
        for path, text, remedy in check_uucp(file, self._absolute, list(self._named("modem"))):
            self._problem(path, text, remedy)
        for name, section in file.neighbour.items():
            if section.password_file is not None:
                self._check_password("neighbour", name, section.password_file)
            if section.called_password_file is not None:
                key = "called_password_file"
                self._check_password("neighbour", name, section.called_password_file, key)

    def _check_path(self, address: str, path: tuple[str, ...]) -> None:
        try:
            if not parse_path(address):
                raise AddressError("the null path is nobody")
        except AddressError as error:
            self._problem(path, f'"{address}" is no address: {error}')

    def _check_listeners(self, file: schema.File) -> None:
        for path, text, remedy in check_doors(file, self._absolute):
            self._problem(path, text, remedy)
        for name, listen in file.listen.items():
            for key, addresses in (("smtp", listen.smtp), ("pop3", listen.pop3)):
                for where in addresses:
                    self._check_listen(where, listen.networks, ("listen", name, key))
            pop3 = "pop3" if listen.pop3 else "pop3s"
            mailbox = file.local.mailbox or _default_mailbox(file.node.user)
            if getattr(listen, pop3) and not mailbox.is_maildir:
                text = "POP3 serves Maildirs, and mail is delivered into mbox files"
                remedy = 'end [local] mailbox with a slash: mailbox = "~/Maildir/"'
                self._problem(("listen", name, pop3), text, remedy)

    def _check_milters(self, file: schema.File) -> None:
        for name, milter in file.milter.items():
            for listener in milter.listeners:
                if listener not in self._named("listen"):
                    known = ", ".join(file.listen) or "none is defined"
                    text = f'there is no listener "{listener}" (listeners: {known})'
                    self._problem(("milter", name, "listeners"), text, f"add [listen.{listener}]")

    def _check_listen(
        self, where: ListenAddress, networks: list[Network], path: tuple[str, ...]
    ) -> None:
        """We serve this machine and the networks that are named, nobody else."""
        if where.address.is_loopback or any(where.address in network for network in networks):
            return
        if where.address.is_unspecified and networks:
            return
        text = f"{where} is neither loopback nor in one of the networks of [listen.{path[1]}]"
        self._problem(path, text, 'name the LAN it serves: networks = ["192.168.1.0/24"]')

    def _check_domains(self, file: schema.File) -> None:
        for table, key in (("node", "hostname"), ("masquerade", "as_domain")):
            domain = getattr(getattr(file, table), key)
            if domain is not None:
                self._check_domain(domain, (table, key.removesuffix("_domain")))
        for table, key in _DOMAIN_LISTS:
            for domain in getattr(getattr(file, table), key):
                if not domain.startswith("/"):
                    self._check_domain(domain, (table, key))

    def _check_domain(self, domain: str, path: tuple[str, ...]) -> None:
        try:
            parse_path(f"x@{domain}", allow_utf8=True)
        except AddressError as error:
            self._problem(path, f'"{domain}" is no domain: {error}')

    def _check_relays(self, file: schema.File) -> None:
        for key in ("smart_host", "uucp_relay", "mail_hub", "local_relay", "luser_relay"):
            value = getattr(file.routing, key)
            wrong = relay_problem(value) if value is not None else None
            if wrong is not None:
                what, remedy = wrong
                self._problem(("routing", key), f"routing.{key}: {what}", remedy)


def _convert(value: Any, kind: Any) -> Any:
    """`value` as `kind`: by its own `parse` where it has a grammar of its own, else by msgspec."""
    if get_origin(kind) is list and hasattr(get_args(kind)[0], "parse"):
        return [_convert(item, get_args(kind)[0]) for item in msgspec.convert(value, list[str])]
    alternatives = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if hasattr(alternatives[0], "parse_any"):
        return alternatives[0].parse_any(value)
    parse = getattr(alternatives[0], "parse", None)
    if isinstance(value, list) and hasattr(alternatives[0], "of"):
        return alternatives[0].of(msgspec.convert(value, list[str]))
    if parse is not None:
        return parse(msgspec.convert(value, str))
    if alternatives[0] is Path:
        return _path(msgspec.convert(value, str))
    return msgspec.convert(value, kind)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("wants the name of a file or folder")
    return Path(text)


def _shown(path: tuple[str, ...]) -> str:
    return ".".join(path)


_TYPE_NAMES = {
    "`str`": "a text in quotes",
    "`int`": "a whole number",
    "`bool`": "true or false",
    "`array`": "a list in [ ]",
    "`object`": "a table",
    "`float`": "a number",
}


_PATTERNS = {
    schema.PROTOCOLS: "wants letters of protocols: i t e g G v f j y a",
    schema.SYSTEM_NAME: "wants a name of letters, digits and . _ + -",
    schema.MAIL_DOMAIN: "wants a domain",
    schema.FIELD_NAME: 'wants the name of a header field, or ""',
    schema.ETRN_NAME: "wants a domain, @domain (with all below it) or #queue",
    schema.GRADE: "wants a grade: one of 0-9 (the best), A-Z, a-z",
    schema.WORD: "wants one word without blanks",
    schema.FILE_NAME: "wants a name of letters, digits and . _ : @ + -",
}


def _plain(text: str) -> str:
    """msgspec's words in a user's."""
    if text.startswith("Invalid enum value"):
        return f"{text.removeprefix('Invalid enum value ')} is not accepted"
    for pattern, wanted in _PATTERNS.items():
        if f"matching regex '{pattern}'" in text:
            return wanted
    if "matching regex" in text:
        return 'wants a name without blanks or any of < > @ , ; : "'
    text = text.replace(" | null", "").replace("Expected ", "wants ", 1)
    for name, plain in _TYPE_NAMES.items():
        text = text.replace(name, plain)
    return text


def _wanted(kind: Any) -> str:
    """What would be right, where the type alone tells."""
    if get_origin(kind) is not None and get_args(kind) and isinstance(get_args(kind)[0], str):
        return "accepted: " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    if kind in (HostPort, HostPorts):
        return 'write for example "mail.example.net:587"'
    return ""


def default_spool(config: Path | None) -> Path:
    """The system's spool for root and for the system's configuration, else the user's own."""
    if os.geteuid() == 0 or (config is not None and config.is_relative_to("/etc")):
        return Path("/var/spool/relaynode")
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return _expanded(Path(state)) / "relaynode"


def _expanded(path: Path) -> Path:
    """With `~` replaced, where there is such a home."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _default_mailbox(user: str | None) -> Mailbox:
    """Root's and that of a node that root starts, or that of one who delivers to himself."""
    is_system = os.geteuid() == 0 or user is not None
    return Mailbox("/var/mail/{user}" if is_system else "~/Maildir/")
