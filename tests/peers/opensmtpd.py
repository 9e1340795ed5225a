"""A private OpenSMTPD as a server: see `mail_server.py`.

Its spool, its socket and its delivery programs have places that no setting changes, so it runs in a
mount namespace of its own, where those places are empty folders in memory.
"""

from __future__ import annotations

import pwd
import shutil

from peers import folders
from peers.found import PeerMissing
from peers.mail_server import BUSY, REFUSED, MailServer

_KEEPER = "nobody"

_CONFIGURATION = """\
filter refused phase rcpt-to match rcpt-to regex {{ "^unknown" }} reject "{refused}"
filter busy phase rcpt-to match rcpt-to regex {{ "^later" }} reject "{busy}"
table all {{ "@" = {keeper} }}
listen on 127.0.0.1 port {port} hostname opensmtpd.test filter {{ refused, busy }}
action keep maildir "{home}/mail" virtual <all>
match from any for any action keep
"""

_IN_NAMESPACE = ("unshare", "--mount", "sh", "-e", "-c")
_ALONE = """\
programs=$1
shift
for folder in /var/spool /var/lib /run /usr/libexec; do mount -t tmpfs tmpfs $folder; done
mkdir -p /var/lib/opensmtpd/empty /usr/libexec/opensmtpd
mount --bind "$programs" /usr/libexec/opensmtpd
exec "$@"
"""


class OpenSmtpd(MailServer):
    """An OpenSMTPD that runs inside a `with` block."""

    name = "opensmtpd"
    _fields = (b"Return-Path: ", b"Delivered-To: ")

    def _prepare(self) -> list[str]:
        if shutil.which("unshare") is None:
            raise PeerMissing("opensmtpd runs in a mount namespace, which needs unshare")
        keeper = pwd.getpwnam(_KEEPER)
        folders.make_maildir(self._maildir, keeper.pw_uid, keeper.pw_gid)
        text = _CONFIGURATION.format(
            home=self.home, port=self.port, keeper=_KEEPER, refused=REFUSED, busy=BUSY
        )
        configuration = folders.write(self.home / "smtpd.conf", text)
        # What is installed is below a folder that the namespace hides.
        programs = self.home / "programs"
        shutil.copytree(self._found.path("/usr/libexec/opensmtpd"), programs)
        program = str(self._found.program("smtpd"))
        alone = [*_IN_NAMESPACE, _ALONE, "sh", str(programs)]
        return [*alone, program, "-d", "-f", str(configuration)]
