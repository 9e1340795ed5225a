"""What the demo can play: two nodes' configurations and tables, and what is told of them.

*home* is behind the line, *isp* is its provider. `{NAME}` in a configuration is the port of a
service: at *isp* the one it listens on, at *home* the near end of the line to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from relaynode.mail.packing import has_zstd

USER = "user"
"""Who lives at home, and has the mailbox at the provider's domain."""


@dataclass(frozen=True, slots=True)
class Site:
    """One node: its configuration, and its tables by name."""

    config: str
    tables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Play:
    """`about`: the two nodes, for people. `services`: what isp listens with, over the line."""

    about: str
    services: tuple[str, ...]
    home: Site
    isp: Site


_HOME = """\
[node]
hostname = "bsd.home"
spool = "spool"
tables = "tables"
local_domains = ["bsd.home", "localhost"]

[masquerade]
as = "example.net"
all = true
envelope = true

[link.isp]
kind = "event"

[local]
mailbox = "{folder}/mail/{{user}}/"
users = ["user", "postmaster"]
"""

_ISP = """\
[node]
hostname = "mail.example.net"
spool = "spool"
tables = "tables"
local_domains = ["example.net"]

[local]
mailbox = "{folder}/mail/{{user}}/"
users = ["user", "friend", "postmaster"]
"""

SMTP = Play(
    "two nodes: home (bsd.home), isp (mail.example.net: smart host and mailbox)",
    ("smtp", "pop3"),
    Site(
        _HOME
        + """
[smart_host.isp]
host = "127.0.0.1:{smtp}"
tls = "none"
link = "isp"

[account.isp]
protocol = "pop3"
host = "127.0.0.1:{pop3}"
tls = "none"
user = "user"
password_file = "password"
deliver_to = "user"
link = "isp"
"""
    ),
    Site(
        _ISP
        + """
[listen.world]
smtp = ["127.0.0.1:{smtp}"]
pop3 = ["127.0.0.1:{pop3}"]

[user.user]
password_file = "password"
"""
    ),
)

_HOME_NEIGHBOUR = """
[uucp]
nodename = "home"

[neighbour.isp]
call = ["tcp:127.0.0.1:{uucp}"]
login = "Uhome"
password_file = "password"
chat = '"" \\L\\r\\P'
link = "isp"
"""

_ISP_NEIGHBOUR = """
[uucp]
nodename = "isp"

[listen.world]
uucp = ["127.0.0.1:{uucp}"]

[neighbour.home]
called_login = "Uhome"
called_password_file = "password"
"""

_BOTH = """\
protocols = "i"
batch = "%s"
commands = ["rmail", "%s"]
"""


@cache
def uucp() -> Play:
    """The same by UUCP: both ways at once, in batches packed as well as it can be done here."""
    command = "rzsmtp" if has_zstd() else "rgsmtp"
    both = _BOTH % (command, command)
    return Play(
        f"two nodes: home (bsd.home), isp (mail.example.net); UUCP, protocol i, {command}",
        ("uucp",),
        Site(_HOME + _HOME_NEIGHBOUR + both, {"mailertable": ". uucp-dom:isp\n"}),
        Site(
            _ISP + _ISP_NEIGHBOUR + both,
            {"mailertable": "bsd.home uucp-dom:home\n", "aliases": "user: user@bsd.home\n"},
        ),
    )
