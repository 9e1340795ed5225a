"""What an .mc says only as a whole: what is missing in it, and what belongs together.

sendmail looks up names, refuses senders and ignores tables *unless* a FEATURE says otherwise, so
the absence of a line is a setting here. The order of lines does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.sendmail_cf import TABLES_FOLDER

if TYPE_CHECKING:
    from relaynode.config.imported import Gathering

TABLES = {
    "mailertable": "mailertable",
    "virtusertable": "virtusertable",
    "genericstable": "genericstable",
    "access_db": "access",
}
"""Features that name a table, and the name that relaynode reads."""

_STRICT_UNLESS_ASKED = (
    "accept_unresolvable_domains",
    "accept_unqualified_senders",
    "blocklist_recipients",
)

_FORWARD_FIELDS = (("$z", "~"), ("$w", "{node}"), ("$h", "{detail}"), ("$u", "{user}"))


@dataclass(slots=True)
class Seen:
    """What was seen on the way. `folders`: those of the tables, with the line that named each."""

    features: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    folders: dict[str, int] = field(default_factory=dict)
    aliases: str = ""
    forward: str = "$z/.forward.$w:$z/.forward"
    forward_line: int | None = None
    expensive_line: int | None = None
    has_expensive_mailer: bool = False
    asks_no_dns: bool = False
    listens: bool = False


def finish(out: Gathering, seen: Seen, folder: str) -> None:
    """Add what the whole file means. `folder` is MAIL_SETTINGS_DIR."""
    _tables(out, seen, folder)
    _forward(out, seen)
    _expensive(out, seen)
    _names(out, seen)
    _access(out, seen)
    if not seen.listens:
        what = "no listener: relaynode takes SMTP only where it is told"
        out.differs(None, what, 'add [listen.lan] with smtp = ["192.168.1.1:25"] and networks')


def wait_for_link(out: Gathering, name: str, line: int) -> None:
    """Mail for others waits until it is called for."""
    out.set("link.isp", "kind", "event", name)
    what = f"{name}: mail for others waits until `relaynode linkup isp` or sendmail -q"
    out.differs(line, what, "call it from ppp.linkup, ip-up or cron")


def _tables(out: Gathering, seen: Seen, usual: str) -> None:
    """All tables are in one folder, and are read if they are there."""
    folder = next(iter(seen.folders), usual)
    for other, line in list(seen.folders.items())[1:]:
        what = f"{other}: all tables are read from one folder, which is {folder}"
        out.differs(line, what, "put them together")
    if folder != TABLES_FOLDER:
        out.set("node", "tables", folder)
    aliases = seen.aliases or f"{usual}/aliases"
    if aliases != f"{folder}/aliases":
        out.set("local", "aliases", aliases, "ALIAS_FILE")
    unused = sorted(set(TABLES.values()) - seen.tables)
    if unused:
        what = f"not used in this file, but read by relaynode if there: {', '.join(unused)}"
        out.differs(None, what, "move away what shall not be read")


def _forward(out: Gathering, seen: Seen) -> None:
    paths = []
    for path in filter(None, seen.forward.split(":")):
        for macro, ours in _FORWARD_FIELDS:
            path = path.replace(macro, ours)
        if "$" in path or not path.startswith(("~/", "/")):
            what = f"confFORWARD_PATH: {path}: not understood"
            out.not_understood(seen.forward_line, what)
        else:
            paths.append(path)
    out.set("local", "forward", paths, "confFORWARD_PATH" if seen.forward_line else "")


def _expensive(out: Gathering, seen: Seen) -> None:
    if seen.expensive_line is None:
        return
    if seen.has_expensive_mailer:
        wait_for_link(out, "confCON_EXPENSIVE", seen.expensive_line)
    else:
        out.harmless(seen.expensive_line, "confCON_EXPENSIVE: no mailer has the flag e")


def _names(out: Gathering, seen: Seen) -> None:
    if not seen.asks_no_dns and "nocanonify" not in seen.features:
        what = "no FEATURE(nocanonify): sendmail asks the DNS where mail goes, relaynode never does"
        out.differs(None, what, "names are taken as they are written")
    out.set("access", "look_up_clients", not seen.asks_no_dns)


def _access(out: Gathering, seen: Seen) -> None:
    for key in _STRICT_UNLESS_ASKED:
        if out.get("access", key) is None:
            out.set("access", key, False, "no such FEATURE")
    if seen.asks_no_dns:
        out.set("access", "accept_unresolvable_domains", True, "nothing is asked of the DNS")
    if not out.get("access", "accept_unresolvable_domains"):
        what = "the domains of senders are looked up in the DNS, as sendmail does"
        out.differs(None, what, "without a steady line set accept_unresolvable_domains = true")
