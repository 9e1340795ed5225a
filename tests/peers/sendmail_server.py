"""A private sendmail as a server: see `mail_server.py`. A script keeps what it takes.

Its configuration is made by its own macros, as in `sendmail.py`.
"""

from __future__ import annotations

import pwd

from peers import folders
from peers.mail_server import BUSY, REFUSED, MailServer
from peers.sendmail import Sendmail

_HOSTNAME = "sendmail.test"
_KEEPER = "nobody"

# Several recipients come in one call. The file is complete before it has its name.
_KEEP = """\
#!/bin/sh -e
file=$(mktemp {home}/mail/tmp/XXXXXXXXXXXX)
{{
    printf 'Return-Path: <%s>\\nDelivered-To:' "$1"
    shift
    printf ' %s' "$@"
    echo
    cat
}} >"$file"
mv "$file" {home}/mail/new
"""

_MC = """\
define(`QUEUE_DIR',`{home}/queue')dnl
define(`STATUS_FILE',`{home}/statistics')dnl
define(`confPID_FILE',`{home}/pid')dnl
define(`confLOG_LEVEL',`0')dnl
define(`confTO_IDENT',`0')dnl
define(`confREFUSE_LA',`1000')dnl
define(`confQUEUE_LA',`1000')dnl
define(`confDELAY_LA',`1000')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
DAEMON_OPTIONS(`Addr=127.0.0.1, Port={port}, Name=MTA')dnl
LOCAL_CONFIG
Kunknown regex -a@MATCH ^<?unknown
Klater regex -a@MATCH ^<?later
LOCAL_RULE_0
R$* < @ $* . > $*	$1 < @ $2 > $3
R$* < @ $* > $*	$#keep $@ here $: $1 @ $2
LOCAL_RULESETS
SLocal_check_rcpt
R$*	$: $1 $| $(unknown $1 $)
R$* $| $* @ MATCH	$#error $@ 5.1.1 $: "{refused}"
R$* $| $*	$: $1 $| $(later $1 $)
R$* $| $* @ MATCH	$#error $@ 4.2.0 $: "{busy}"
MAILER_DEFINITIONS
Mkeep, P={home}/keep, F=mn8, L=0, U={keeper}, T=DNS/RFC822/X-Unix, A=keep $g $u
"""


class SendmailServer(MailServer):
    """A sendmail that runs inside a `with` block."""

    name = "sendmail"
    _fields = (b"Return-Path: ", b"Delivered-To: ")

    def _prepare(self) -> list[str]:
        keeper = pwd.getpwnam(_KEEPER)
        folders.make_folder(self.home / "queue", 0o700)
        folders.make_maildir(self._maildir, keeper.pw_uid, keeper.pw_gid)
        folders.write(self.home / "keep", _KEEP.format(home=self.home), 0o755)
        mc = _MC.format(home=self.home, port=self.port, keeper=_KEEPER, refused=REFUSED, busy=BUSY)
        made = Sendmail(self.home, _HOSTNAME, mc.replace("{", "{{").replace("}", "}}"), {})
        return made.command("-bD", "-q1h")
