"""From relaynode.toml to a `Config`, or to the list of all that is wrong with it.

Every key is decoded on its own, so that one mistake does not hide the next; what belongs together
(a link that is named and does not exist) is checked afterwards.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from relaynode.config import schema
from relaynode.config.account_checks import check_account, check_idle
from relaynode.config.address_checks import check_addresses
from relaynode.config.decoding import Decoder
from relaynode.config.link_checks import DEFAULT_LINK, check_links
from relaynode.config.listen_checks import check_doors
from relaynode.config.login_checks import check_logins, remotes
from relaynode.config.node_user import check_user, uid_of
from relaynode.config.secrets import read_password
from relaynode.config.toml_lines import key_lines, line_of
from relaynode.config.uucp_checks import check_uucp
from relaynode.config.values import Mailbox, Password
from relaynode.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from relaynode.config.from_fetchmail import FoundAccount

_KEPT_AS = {
    "called_password_file": "called",
    "client_secret_file": "client_secret",
    "refresh_token_file": "refresh_token",
}
"""Tables of `passwords` for keys that are no password_file."""


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
        self._decoder = Decoder(self._problem)

    def config(self) -> Config:
        file = self._decoder.section(schema.File, self._data, ())
        assert file is not None  # it has no required keys
        self._node_uid = uid_of(file.node.user)
        for wrong in self._all_wrong(file):
            self._problem(*wrong)
        self._read_passwords(file)
        file = self._with_fetchmailrc(file)
        if self._problems:
            self._problems.sort(key=lambda problem: problem.line or 0)
            raise ConfigError(self._problems)
        return self._finish(file)

    def _all_wrong(self, file: schema.File) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """What belongs together, and does not fit."""
        yield from check_user(file, self._path)
        yield from check_links(file, self._written)
        yield from check_logins(file, self._absolute, self._written)
        for name, account in file.account.items():
            yield from check_account(name, account, self._written(("account", name)))
        yield from check_idle(file)
        yield from check_doors(file, self._absolute, _mailbox(file))
        yield from check_addresses(file)
        yield from check_uucp(file, self._absolute, self._written(("modem",)))

    def _finish(self, file: schema.File) -> Config:
        hostname = (file.node.hostname or socket.gethostname()).rstrip(".")
        # sendmail answers to its first name too.
        own = {hostname, hostname.partition(".")[0], "localhost", *file.node.local_domains}
        spool = file.node.spool or default_spool(self._path)
        return Config(
            path=self._path,
            hostname=hostname,
            spool=self._absolute(spool),
            tables=self._absolute(file.node.tables),
            local_domains=frozenset(domain.lower().rstrip(".") for domain in own),
            mailbox=_mailbox(file),
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
        section = self._decoder.section(kind, found.keys, (found.table, found.name))
        if isinstance(section, schema.AccountSection):
            for wrong in check_account(found.name, section, found.keys):
                self._problem(*wrong)
        rc = self._data.get("fetch", {}).get("fetchmailrc", ".fetchmailrc")
        self._problems[before:] = [
            Problem(str(rc), found.line or None, problem.text, problem.remedy)
            for problem in self._problems[before:]
        ]
        return section

    def _problem(self, path: tuple[str, ...], text: str, remedy: str = "") -> None:
        self._problems.append(Problem(self._name, line_of(self._lines, path), text, remedy))

    def _written(self, path: tuple[str, ...]) -> Collection[str]:
        """The keys below a table, right or wrong."""
        table: Any = self._data
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        return table if isinstance(table, dict) else ()

    def _read_passwords(self, file: schema.File) -> None:
        for table, sections in remotes(file):
            for name, section in sections.items():
                if section.password_file is not None:
                    self._read_password(table, name, section.password_file)
        for name, oauth in file.oauth.items():
            for key in ("client_secret_file", "refresh_token_file"):
                if (secret := getattr(oauth, key)) is not None:
                    is_given = key == "refresh_token_file" and oauth.device_url is not None
                    remedy = f"relaynode auth {name} gets one" if is_given else ""
                    self._read_password("oauth", name, secret, key, remedy)
        for name, user in file.user.items():
            self._read_password("user", name, user.password_file)
        for name, neighbour in file.neighbour.items():
            for key in ("password_file", "called_password_file"):
                if (secret := getattr(neighbour, key)) is not None:
                    self._read_password("neighbour", name, secret, key)

    def _read_password(
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


def _mailbox(file: schema.File) -> Mailbox:
    """By default root's and that of a node that root starts, or that of one who delivers to
    himself."""
    if file.local.mailbox is not None:
        return file.local.mailbox
    is_system = os.geteuid() == 0 or file.node.user is not None
    return Mailbox("/var/mail/{user}" if is_system else "~/Maildir/")
