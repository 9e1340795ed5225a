"""A private Exim as a server: see `mail_server.py`.

The whole of it runs as its own user, and nothing of it as root: Debian's program is set-user-id,
and such a program does not find unpacked libraries, so a copy without that bit is used.
"""

from __future__ import annotations

import pwd
import shutil

from peers import folders
from peers.mail_server import BUSY, REFUSED, MailServer

USER = "Debian-exim"

_CONFIGURATION = """\
exim_path = {home}/exim
spool_directory = {home}/queue
log_file_path = {home}/log-%s
primary_hostname = exim.test
qualify_domain = exim.test
keep_environment = LD_LIBRARY_PATH
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
disable_ipv6 = true
deliver_drop_privilege = true
# Nothing is asked of a name server.
host_lookup =
dns_csa_use_reverse = false
rfc1413_query_timeout = 0s
tls_advertise_hosts =
smtputf8_advertise_hosts = *
# All is delivered at once, however much comes over one connection.
smtp_accept_queue_per_connection = 0
smtp_accept_max = 100
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept

begin acl
check_rcpt:
  deny local_parts = ^unknown
       message = {refused}
  defer local_parts = ^later
        message = {busy}
  accept

begin routers
all:
  driver = accept
  transport = keep

begin transports
keep:
  driver = appendfile
  directory = {home}/mail
  maildir_format
  return_path_add
  envelope_to_add
  batch_max = 100

begin retry
* * F,1h,1m
"""


class Exim(MailServer):
    """An Exim that runs inside a `with` block."""

    name = "exim"
    _fields = (b"Return-path: ", b"Envelope-to: ")

    def log(self) -> str:
        """See MailServer."""
        return "".join(file.read_text(errors="replace") for file in self.home.glob("log*"))

    def _prepare(self) -> list[str]:
        user = pwd.getpwnam(USER)
        folders.give(self.home, 0o755, user.pw_uid, user.pw_gid)
        folders.make_folder(self.home / "queue", 0o750, user.pw_uid, user.pw_gid)
        folders.make_maildir(self._maildir, user.pw_uid, user.pw_gid)
        program = shutil.copyfile(self._found.program("exim4"), self.home / "exim")
        program.chmod(0o755)
        text = _CONFIGURATION.format(home=self.home, port=self.port, refused=REFUSED, busy=BUSY)
        configuration = folders.write(self.home / "exim.conf", text)
        return [str(program), "-C", str(configuration), "-bdf", "-q1h"]
