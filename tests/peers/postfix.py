"""A private Postfix that takes any mail on loopback and keeps it in a Maildir.

It neither asks the DNS nor sends anything anywhere, and has nothing in common with a Postfix that
the machine may run. A test chooses the outcome by the local part of the recipient:

    unknown...   refused for good: 550 5.1.1
    later...     refused for now:  450 4.2.0
    others       delivered, whatever the domain
"""

from __future__ import annotations

import grp
import os
import pwd
import signal
import subprocess
from typing import TYPE_CHECKING, Self

from peers import deliveries, folders
from peers.found import require
from peers.processes import PeerFailed, Process, free_port, tail, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from peers.certificates import ServerCertificate
    from peers.deliveries import Delivery

HOSTNAME = "postfix.test"

_REFUSALS = """\
/^unknown/ 550 5.1.1 There is no such user
/^later/ 450 4.2.0 Mailbox is busy, try again later
"""

# Nothing is chrooted: a folder of a test holds no libraries. %(listeners)s are the smtpd lines.
_MASTER_CF = """\
%(listeners)s
pickup    unix  n - n 1     1 pickup
cleanup   unix  n - n -     0 cleanup
qmgr      unix  n - n 300   1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
bounce    unix  - - n -     0 bounce
defer     unix  - - n -     0 bounce
trace     unix  - - n -     0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -     - proxymap
smtp      unix  - - n -     - smtp
relay     unix  - - n -     - smtp
showq     unix  n - n -     - showq
error     unix  - - n -     - error
retry     unix  - - n -     - error
discard   unix  - - n -     - discard
local     unix  - n n -     - local
virtual   unix  - n n -     - virtual
anvil     unix  - - n -     1 anvil
postlog   unix-dgram n - n - 1 postlogd
%(services)s
"""

# What `postfix start` would create, according to its file postfix-files.
_QUEUE_FOLDERS = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("private", "saved", "trace"),
)
_WAITING_FOLDERS = ("maildrop", "deferred", "incoming", "active")  # the way a mail goes

# What Postfix's processes may take over from us; its own list, without X11.
_IMPORTED = (
    "SASL_PATH MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME"
)

# virtual(8) puts these before the message it delivers, and Delivered-To behind them.
_FIELDS = {"path_field": b"Return-Path: ", "to_field": b"X-Original-To: ", "ignored": 1}


class Postfix:
    """A Postfix that runs inside a `with` block. Only root can start it.

    folder: after the end the log, the configuration and the mail are moved into it. Without, they
        are removed.
    chunking, pipelining, eight_bit: whether EHLO lists them (the last is 8BITMIME).
    tls: enables STARTTLS, and TLS from the start on `smtps_port`.
    auth_socket: enables AUTH, with the names and passwords of the Dovecot behind the socket.
    size_limit: the largest message in bytes; EHLO lists it. 0 is none.
    extra: settings of main.cf, which win over ours. To let it send:
        {"virtual_mailbox_domains": "", "default_transport": "smtp:[127.0.0.1]:2525"}
    services: lines of master.cf behind ours.
    environment: variables beside its own.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        chunking: bool = True,
        pipelining: bool = True,
        eight_bit: bool = True,
        tls: ServerCertificate | None = None,
        auth_socket: Path | None = None,
        size_limit: int = 50_000_000,
        extra: Mapping[str, str] | None = None,
        services: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._keep_in = folder
        self._withheld = [
            *(() if chunking else ("chunking",)),
            *(() if pipelining else ("pipelining",)),
            *(() if eight_bit else ("8bitmime",)),
        ]
        self._tls = tls
        self._auth_socket = auth_socket
        self._size_limit = size_limit
        self._extra = dict(extra or {})
        self._services = services
        self._environment = dict(environment or {})

    def __enter__(self) -> Self:
        """Start it; it answers on `port`. Raises PeerFailed, or PeerMissing outside a test."""
        self._found = require("postfix")
        self.home = folders.make_home("postfix")
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
                self._process.stop()
        finally:
            self.home = folders.leave_home(self.home, self._keep_in, drop=("queue", "data"))

    def log(self) -> str:
        """All that Postfix logged so far."""
        return self._log_file.read_text(errors="replace")

    def deliveries(self) -> list[Delivery]:
        """All that was delivered, oldest first (as well as Postfix's file names tell)."""
        files = sorted(self._files(), key=_age)
        return [one for file in files for one in deliveries.read(file, **_FIELDS)]

    def messages(self, address: str) -> list[bytes]:
        """The contents that `address` got; upper and lower case are the same."""
        wanted = address.lower()
        return [one.content for one in self.deliveries() if one.recipient.lower() == wanted]

    def all_messages(self) -> list[bytes]:
        """The contents that anybody got. A message to two recipients is there twice."""
        return [one.content for one in self.deliveries()]

    def count(self) -> int:
        """How many deliveries there were, one for each recipient of each message."""
        return len(self._files())

    def wait_for(self, count: int, seconds: float = 15) -> None:
        """Wait until `count` deliveries were made. Raises PeerFailed."""
        if not wait_until(lambda: self.count() >= count, seconds):
            got = self.count()
            raise PeerFailed(f"Postfix delivered {got}, not {count}\n{tail(self._log_file)}")

    def wait_until_settled(self, seconds: float = 15) -> None:
        """Wait until all that Postfix accepted is delivered, so that `count` is final."""
        if not wait_until(lambda: not self._has_waiting(), seconds):
            raise PeerFailed(f"Postfix still has mail in its queue\n{tail(self._log_file)}")

    def sendmail_command(self) -> list[str]:
        """The start of a command line that submits to this Postfix; append recipients."""
        command = [str(self._found.program("sendmail")), "-C", str(self._config)]
        if not self._found.is_unpacked:
            return command
        libraries = self._found.environment["LD_LIBRARY_PATH"]
        return ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", *command]

    def configure(self, **settings: str) -> None:
        """Change settings of main.cf while it runs. Sessions under way end first."""
        assert self._process is not None
        self._extra |= settings
        self._write_main_cf()
        os.kill(self._process.pid, signal.SIGHUP)

    def flush(self) -> None:
        """Let it try all that is deferred. Raises PeerFailed."""
        command = [self._found.program("postqueue"), "-c", self._config, "-f"]
        said = subprocess.run(
            command, env=self._found.environment, capture_output=True, text=True, check=False
        )
        if said.returncode != 0:
            raise PeerFailed(f"postqueue -f: {said.stderr}")

    def _start(self) -> None:
        self.port = free_port()
        self.smtps_port = free_port() if self._tls else None
        self._make_folders()
        self._write_configuration()
        self._check_configuration()
        self._process = Process(
            # "-c" for us; its children learn the folder from the environment.
            [self._found.program("master"), "-c", self._config],
            log=self._log_file,
            environment=self._found.environment
            | {"MAIL_CONFIG": str(self._config)}
            | self._environment,
        )
        self._process.wait_until_answers(self.port, hopeless="throttling")

    def _check_configuration(self) -> None:
        """Raises PeerFailed with what is wrong, since master would end without a word."""
        for name, *query in (("postmap", "-q", "any", "static:any"), ("postconf",)):
            said = subprocess.run(
                [self._found.program(name), "-c", self._config, *query],
                env=self._found.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if said.stderr:
                raise PeerFailed(f"Postfix does not like main.cf\n{said.stderr}")

    @property
    def _config(self) -> Path:
        return self.home / "config"

    @property
    def _log_file(self) -> Path:
        return self.home / "postfix.log"

    @property
    def _maildir(self) -> Path:
        return self.home / "mail" / "all"

    def _make_folders(self) -> None:
        postfix = pwd.getpwnam("postfix").pw_uid
        postdrop = grp.getgrnam("postdrop").gr_gid
        keeper = _keeper()
        queue = folders.make_folder(self.home / "queue")
        for name in _QUEUE_FOLDERS:
            folders.make_folder(queue / name, 0o700, postfix)
        folders.make_folder(queue / "pid")
        folders.make_folder(queue / "public", 0o710, postfix, postdrop)
        folders.make_folder(queue / "maildrop", 0o1730, postfix, postdrop)
        folders.make_folder(self.home / "data", 0o700, postfix)
        folders.give(folders.write(self._log_file, ""), 0o644, postfix)
        folders.make_folder(self.home / "mail")
        folders.make_maildir(self._maildir, keeper.pw_uid, keeper.pw_gid)

    def _write_configuration(self) -> None:
        folders.make_folder(self._config)
        folders.write(self._config / "refusals", _REFUSALS)
        lines = {"listeners": self._listeners(), "services": self._services}
        folders.write(self._config / "master.cf", _MASTER_CF % lines)
        self._write_main_cf()

    def _write_main_cf(self) -> None:
        settings = self._settings() | self._tls_settings() | self._auth_settings()
        settings |= self._unpacked_settings() | self._extra
        main_cf = "".join(f"{name} = {value}\n" for name, value in settings.items())
        folders.write(self._config / "main.cf", main_cf)

    def _listeners(self) -> str:
        lines = [f"127.0.0.1:{self.port} inet n - n - - smtpd"]
        if self.smtps_port is not None:
            lines.append(f"127.0.0.1:{self.smtps_port} inet n - n - - smtpd")
            lines.append("  -o smtpd_tls_wrappermode=yes")
        return "\n".join(lines)

    def _settings(self) -> dict[str, str]:
        keeper = _keeper()
        refusals = self._config / "refusals"
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.home / "queue"),
            "data_directory": str(self.home / "data"),
            "maillog_file": str(self._log_file),
            "maillog_file_prefixes": str(self.home),
            "myhostname": HOSTNAME,
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            # Nothing is asked of a name server, and nothing leaves this machine.
            "smtpd_peername_lookup": "no",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "default_transport": "error:5.4.0 This Postfix sends nothing",
            "relay_transport": "error:5.4.0 This Postfix sends nothing",
            "alias_maps": "",
            "alias_database": "",
            # Every address of every domain has one mailbox, a Maildir. Those of each recipient
            # would need $1 in the table, which virtual(8) refuses; it adds X-Original-To instead.
            "virtual_mailbox_domains": "static:all",
            "virtual_mailbox_maps": "static:all/",
            "virtual_mailbox_base": str(self._maildir.parent),
            "virtual_uid_maps": f"static:{keeper.pw_uid}",
            "virtual_gid_maps": f"static:{keeper.pw_gid}",
            "virtual_mailbox_limit": "0",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "smtpd_recipient_restrictions": f"check_recipient_access regexp:{refusals}",
            "smtpd_discard_ehlo_keywords": " ".join(self._withheld),
            "message_size_limit": str(self._size_limit),
            # A test may do at once what is suspicious in life; the peer must not be what is slow.
            "smtpd_client_connection_count_limit": "0",
            "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_message_rate_limit": "0",
            "smtpd_client_recipient_rate_limit": "0",
            "smtpd_error_sleep_time": "0",
            "smtpd_soft_error_limit": "10000",
            "smtpd_hard_error_limit": "10000",
            "smtpd_junk_command_limit": "10000",
            "in_flow_delay": "0",
            "queue_minfree": "0",
            # What we send is what a test must find: no Date, no Message-ID, no domain is added.
            "local_header_rewrite_clients": "",
        }

    def _tls_settings(self) -> dict[str, str]:
        if self._tls is None:
            return {"smtpd_tls_security_level": "none"}
        return {
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": str(self._tls.certificate),
            "smtpd_tls_key_file": str(self._tls.key),
            "smtpd_tls_loglevel": "1",
            "smtpd_tls_received_header": "yes",  # so that a test can see that TLS was used
        }

    def _auth_settings(self) -> dict[str, str]:
        if self._auth_socket is None:
            return {}
        return {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": str(self._auth_socket),
            "smtpd_sasl_security_options": "noanonymous",
            "smtpd_sasl_authenticated_header": "yes",  # so that a test can see who it was
        }

    def _unpacked_settings(self) -> dict[str, str]:
        """Where its parts are, when they are not where they were compiled to be."""
        if not self._found.is_unpacked:
            return {}
        where = self._found.path
        return {
            "command_directory": str(where("/usr/sbin")),
            "daemon_directory": str(where("/usr/lib/postfix/sbin")),
            "shlib_directory": str(where("/usr/lib/postfix")),
            "meta_directory": str(self._config),
            "sendmail_path": str(where("/usr/sbin/sendmail")),
            "mailq_path": str(where("/usr/bin/mailq")),
            "newaliases_path": str(where("/usr/bin/newaliases")),
            "import_environment": f"{_IMPORTED} LD_LIBRARY_PATH",
            "export_environment": "TZ MAIL_CONFIG LANG LD_LIBRARY_PATH",
        }

    def _files(self) -> list[os.DirEntry[str]]:
        with os.scandir(self._maildir / "new") as entries:
            return list(entries)

    def _has_waiting(self) -> bool:
        queue = self.home / "queue"
        return any(_holds_file(queue / name) for name in _WAITING_FOLDERS)


def _keeper() -> pwd.struct_passwd:
    """The user whom delivered mail belongs to: virtual(8) delivers to neither root nor itself."""
    return pwd.getpwnam("nobody")


def _holds_file(folder: Path) -> bool:
    return any(files for _, _, files in os.walk(folder))


def _age(file: os.DirEntry[str]) -> tuple[int, int]:
    """When a Maildir file was made: "SECONDS.V<device>I<inode>M<microseconds>.HOST"."""
    seconds, unique, _ = file.name.split(".", 2)
    return int(seconds), int(unique.rpartition("M")[2])
