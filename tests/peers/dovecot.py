"""A private Dovecot on loopback: Maildirs served by POP3 and IMAP, filled by LMTP, passwords for
Postfix.

It has nothing in common with a Dovecot that the machine may run, and needs no root: without, it
runs as whoever runs the tests.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from peers import folders
from peers.found import Found, leave_out, require
from peers.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from peers.certificates import ServerCertificate

# A template of str.format, so braces that Dovecot is to see are doubled. Nothing is chrooted, since
# the folder of a test holds no libraries.
_CONFIGURATION = """\
protocols = pop3 imap lmtp
listen = 127.0.0.1
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
import_environment = TZ LD_LIBRARY_PATH
default_internal_user = {internal.pw_name}
default_internal_group = {internal_group}
default_login_user = {login.pw_name}
default_client_limit = 200
default_process_limit = 50
first_valid_uid = 1
first_valid_gid = 1
shutdown_clients = yes

auth_mechanisms = {mechanisms}
auth_verbose = yes
auth_failure_delay = 0
disable_plaintext_auth = no
{oauth}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
userdb {{
  driver = static
  args = uid={keeper.pw_uid} gid={keeper.pw_gid} home={home}/mail/%u
}}
mail_location = maildir:{home}/mail/%u
{elsewhere}
{tls}

service auth {{
  chroot =
  unix_listener postfix {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  # Wrong passwords are what a test is about; the next try is not to wait longer and longer.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  chroot =
  # One process serves any number of logins, which starts sooner than one for each.
  service_count = 0
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = {pop3s_port}
    ssl = yes
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
protocol imap {{
  # COMPRESS=DEFLATE
  mail_plugins = $mail_plugins imap_zlib
}}
protocol lmtp {{
  auth_username_format = %Ln
}}
{more}
"""

_TLS = """\
ssl = yes
ssl_cert = <{tls.certificate}
ssl_key = <{tls.key}
"""

# A token is good if the server that has issued it says so, and whose it is.
_OAUTH = """\
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf
}}
"""
_OAUTH_CONF = """\
tokeninfo_url = {url}?access_token=
username_attribute = username
"""

_UNPACKED = """\
libexec_dir = {libexec}
mail_plugin_dir = {libexec}/modules
"""

# At the end its log process always waits a second for others, which are gone in a tenth of it.
_GRACE_SECONDS = 0.4


@dataclass(frozen=True)
class _Accounts:
    """Whom Dovecot's parts run as."""

    internal: pwd.struct_passwd
    login: pwd.struct_passwd
    keeper: pwd.struct_passwd  # whom the mail belongs to; Dovecot refuses to be root for that


class Dovecot:
    """A Dovecot that runs inside a `with` block.

    On `lmtp_port` it takes mail for its users, whatever the domain.

    folder: after the end the log, the configuration and the mail are moved into it. Without, they
        are removed.
    users: names and passwords; a name may be an address.
    tls: enables STLS on `pop3_port`, and TLS from the start on `pop3s_port`.
    mechanisms: what AUTH offers.
    more: settings that stand behind all others.
    tokeninfo_url: where XOAUTH2 and OAUTHBEARER, which are offered then, have tokens checked.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        users: Mapping[str, str],
        tls: ServerCertificate | None = None,
        mechanisms: str = "plain login cram-md5",
        tokeninfo_url: str = "",
        more: str = "",
    ) -> None:
        self._more = more
        self._mechanisms = f"{mechanisms} xoauth2 oauthbearer" if tokeninfo_url else mechanisms
        self._tokeninfo_url = tokeninfo_url
        self._keep_in = folder
        self._users = dict(users)
        self._tls = tls
        self._put_count = 0

    def __enter__(self) -> Self:
        """Start it; it answers on `pop3_port`. Raises PeerFailed, or PeerMissing outside a test."""
        self._found = require("dovecot")
        _check_version(self._found)
        self.home = folders.make_home("dovecot")
        self._process: Process | None = None
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process is not None:
                self._process.stop(_GRACE_SECONDS)
        finally:
            self.home = folders.leave_home(self.home, self._keep_in, drop=("run", "state"))

    @property
    def auth_socket(self) -> Path:
        """Where Postfix asks for AUTH: `mechanisms` with the names of `users`."""
        return self.home / "run" / "postfix"

    def log(self) -> str:
        """All that Dovecot logged so far."""
        return self._log_file.read_text(errors="replace")

    @property
    def lmtp_socket(self) -> Path:
        """Where it takes mail by LMTP, if `more` says so."""
        return self.home / "run" / "lmtp"

    @property
    def keeper(self) -> str:
        """The user whom all mail belongs to."""
        return self._accounts.keeper.pw_name

    def home_of(self, user: str) -> Path:
        """The folder that is `~` of `user`."""
        return self._maildir(user)

    def put(self, user: str, content: bytes) -> None:
        """Drop a message into the mailbox of `user`, as the last one. It is stored with LF ends."""
        maildir = self._maildir(user)
        # Dovecot orders a mailbox by the seconds and the M part of these names.
        self._put_count += 1
        name = f"1000000000.M{self._put_count:06d}P{os.getpid()}.peer"
        temporary = maildir / "tmp" / name
        temporary.write_bytes(content.replace(b"\r\n", b"\n"))
        folders.give(temporary, 0o600, self._accounts.keeper.pw_uid, self._accounts.keeper.pw_gid)
        temporary.rename(maildir / "new" / name)

    def messages(self, user: str) -> list[bytes]:
        """What lies in the mailbox of `user`, in order, with LF line ends."""
        return [path.read_bytes() for path in self._files(user)]

    def count(self, user: str) -> int:
        """How many messages lie in the mailbox of `user`."""
        return len(self._files(user))

    def _start(self) -> None:
        self._accounts = _accounts()
        self.pop3_port = free_port()
        self.pop3s_port = free_port() if self._tls else None
        self.imap_port = free_port()
        self.imaps_port = free_port() if self._tls else None
        self.lmtp_port = free_port()
        self._make_folders()
        self._write_configuration()
        self._process = Process(
            _command(self._found, self._config),
            log=self._log_file,
            environment=self._found.environment,
        )
        self._process.wait_until_answers(self.pop3_port, hopeless="throttling")

    @property
    def _config(self) -> Path:
        return self.home / "dovecot.conf"

    @property
    def _log_file(self) -> Path:
        return self.home / "dovecot.log"

    def _maildir(self, user: str) -> Path:
        return self.home / "mail" / user

    def _files(self, user: str) -> list[Path]:
        maildir = self._maildir(user)
        # In this order, and by the name without flags: a session may just be moving one to cur.
        found = [path for name in ("new", "cur") for path in (maildir / name).iterdir()]
        files = {path.name.partition(":")[0]: path for path in found}
        return [files[name] for name in sorted(files)]

    def _make_folders(self) -> None:
        keeper = self._accounts.keeper
        run = folders.make_folder(self.home / "run")
        if self._found.is_unpacked:
            # See Relocation in found.py.
            (run / "modules").symlink_to(self._found.path("/usr/lib/dovecot/modules"))
        folders.make_folder(self.home / "mail", 0o755, keeper.pw_uid, keeper.pw_gid)
        for user in self._users:
            folders.make_maildir(self._maildir(user), keeper.pw_uid, keeper.pw_gid)

    def _write_configuration(self) -> None:
        passwords = "".join(f"{name}:{{PLAIN}}{word}\n" for name, word in self._users.items())
        folders.write(self.home / "users", passwords)
        oauth = _OAUTH_CONF.format(url=self._tokeninfo_url)
        folders.write(self.home / "oauth2.conf", oauth)
        folders.write(self._log_file, "")
        folders.write(self._config, self._configuration())

    def _configuration(self) -> str:
        libexec = self._found.path("/usr/lib/dovecot")
        internal = self._accounts.internal
        return _CONFIGURATION.format(
            home=self.home,
            mechanisms=self._mechanisms,
            oauth=_OAUTH.format(home=self.home) if self._tokeninfo_url else "",
            pop3_port=self.pop3_port,
            pop3s_port=self.pop3s_port or 0,  # 0 is no listener
            imap_port=self.imap_port,
            imaps_port=self.imaps_port or 0,
            lmtp_port=self.lmtp_port,
            more=self._more,
            internal=internal,
            internal_group=grp.getgrgid(internal.pw_gid).gr_name,
            login=self._accounts.login,
            keeper=self._accounts.keeper,
            elsewhere=_UNPACKED.format(libexec=libexec) if self._found.is_unpacked else "",
            tls=_TLS.format(tls=self._tls) if self._tls else "ssl = no",
        )


def _check_version(found: Found) -> None:
    command: list[str | Path] = [found.program("dovecot"), "--version"]
    version = subprocess.check_output(command, env=found.environment, text=True).strip()
    if not version.startswith("2.3."):
        leave_out(f"the configuration of Dovecot {version} is not that of 2.3, which tests know")


def _accounts() -> _Accounts:
    if os.geteuid() != 0:
        ourselves = pwd.getpwuid(os.geteuid())
        return _Accounts(ourselves, ourselves, ourselves)
    return _Accounts(*(pwd.getpwnam(name) for name in ("dovecot", "dovenull", "nobody")))


def _command(found: Found, config: Path) -> list[str | Path]:
    """The command that runs Dovecot in the foreground."""
    run: list[str | Path] = [found.program("dovecot"), "-F", "-c", config]
    if not found.is_unpacked:
        return run
    # `dovecot` starts by calling doveconf, at the path it was compiled with, to read the settings
    # and to call it back with these. Called by us in the same way, doveconf may be anywhere.
    doveconf = found.program("doveconf")
    return [doveconf, "-f", "service=master", "-c", config, "-m", "master", "-e", *run]
