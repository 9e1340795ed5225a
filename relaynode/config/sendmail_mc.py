"""`relaynode import sendmail`: what a sendmail .mc means, as settings of relaynode.toml.

The text is taken apart by mc_reader; the answers that need no thought are in sendmail_answers,
lines that go into the .cf in sendmail_cf. Here is what must be looked into: macros and features
with arguments. What only the whole file tells is in sendmail_whole. Facts: cf/README of sendmail
8.17 and older ones.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config import sendmail_answers as answers
from relaynode.config.imported import Gathering, Imported
from relaynode.config.mc_reader import SECTIONS, Broken, Call, Text, read_mc
from relaynode.config.sendmail_answers import Answer, give
from relaynode.config.sendmail_cf import RELAYS, CfLines
from relaynode.config.sendmail_filters import take_filter
from relaynode.config.sendmail_whole import TABLES, Seen, finish, wait_for_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_DAYS = {"s": 1 / 86400, "m": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7}
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "IPv6:::1")
_PORTS = {"smtp": "25", "submission": "587", "msa": "587"}

_CLASS_MACROS = {
    "LOCAL_DOMAIN": "w",
    "EXPOSED_USER": "E",
    "MASQUERADE_DOMAIN": "M",
    "MASQUERADE_EXCEPTION": "N",
    "GENERICS_DOMAIN": "G",
    "LOCAL_USER": "L",
    "VIRTUSER_DOMAIN": "VirtHost",
    "RELAY_DOMAIN": "R",
}
"""Macros that put words into a class; with _FILE behind it, those of a file."""

_RULE_REMEDY = "if they say where mail goes, say it in mailertable, virtusertable or access"


_BEFORE_MAILER = frozenset({"allmasquerade", "always_add_domain", "local_no_masquerade"})
"""FEATUREs that m4 writes into the mailers: behind MAILER() they come too late."""

_DEFINED_BY = {
    **{letter: name for name, (_, letter) in RELAYS.items()},
    "M": "MASQUERADE_NAME",
}
"""Letters of D lines, and what sets the macro in an .mc."""


def import_mc(text: str, name: str, *, in_order: bool = False) -> Imported:
    """What the .mc `text` says, as settings; `name` stands in its notes. Never raises.

    A FEATURE that comes too late to have an effect in sendmail is taken as it was meant; with
    `in_order` it is left out, which gives what sendmail does with this file.
    """
    return _Import(text, Gathering(name), in_order).run()


class _Import:
    """One .mc on its way to settings."""

    def __init__(self, text: str, out: Gathering, in_order: bool) -> None:
        self._text = text
        self._in_order = in_order
        self._has_mailers = False
        self._out = out
        self._cf = CfLines(out)
        self._seen = Seen()
        self._rules = _Rules(out)

    def run(self) -> Imported:
        for item in read_mc(self._text):
            if isinstance(item, Text):
                self._line(item)
                continue
            self._rules.end()
            if isinstance(item, Broken):
                self._out.not_understood(item.line, item.text, "see the file there")
            else:
                self._call(item)
        self._rules.end()
        finish(self._out, self._seen, self._cf.folder)
        return self._out.finish(f"Imported from {self._out.file} by relaynode import sendmail.")

    # --- macro calls

    def _call(self, call: Call) -> None:
        if call.is_commented:
            what = f"{call.name}: the # before it hides nothing from m4, it counts"
            self._out.differs(call.line, what, "write dnl at the beginning of the line")
        handler = _HANDLERS.get(call.name)
        if handler is not None:
            handler(self, call)
        elif call.name.removesuffix("_FILE") in _CLASS_MACROS:
            self._class(call)
        elif call.name in answers.MACROS:
            give(self._out, answers.MACROS[call.name], call.name, call.line)
        else:
            known = [*_HANDLERS, *answers.MACROS, *_CLASS_MACROS]
            self._unknown(call.name, call.name, known, call.line)

    def _class(self, call: Call) -> None:
        name = _CLASS_MACROS[call.name.removesuffix("_FILE")]
        put = self._cf.file if call.name.endswith("_FILE") else self._cf.words
        for argument in call.arguments:
            put(name, argument, call.name, call.line)

    def _unknown(self, what: str, name: str, known: Iterable[str], line: int) -> None:
        close = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {close[0]}?" if close else ""
        self._out.not_understood(line, f"{what}: not understood", remedy)

    def _known(self, macro: str, table: dict[str, Answer], name: str, line: int) -> None:
        """The answer to `MACRO(name)` out of a table."""
        if name in table:
            give(self._out, table[name], f"{macro}({name})", line)
        else:
            self._unknown(f"{macro}({name})", name, table, line)

    def _begin_section(self, call: Call) -> None:
        self._rules.section = call.name

    def _not_decided(self, call: Call) -> None:
        what = f"{call.name}(...): not understood, what depends on it is left out"
        self._out.not_understood(call.line, what, "write out what is meant")

    def _include(self, call: Call) -> None:
        if call.argument(0).endswith("cf.m4"):
            self._out.harmless(call.line, "include: sendmail's own macros")
            return
        what = f"{call.name}({call.argument(0)}): not understood, the file is not read"
        self._out.not_understood(call.line, what, "put its text in place of this line")

    def _domain(self, call: Call) -> None:
        """DOMAIN(generic) comes with sendmail; others are a site's own."""
        name = call.argument(0)
        if name != "generic":
            what = f"DOMAIN({name}): the file {name}.m4 is not read"
            self._out.differs(call.line, what, "put its text in place of this line")
            return
        self._seen.forward = "$z/.forward.$w+$h:$z/.forward+$h:$z/.forward.$w:$z/.forward"
        self._cf.words("E", "root", "DOMAIN(generic)", call.line)
        give(self._out, answers.FEATURES["redirect"], "DOMAIN(generic)", call.line)

    def _masquerade_as(self, call: Call) -> None:
        self._cf.name("masquerade", "as", call.argument(0), call.name, call.line)
        self._cf.macros["M"] = call.argument(0)

    def _mailer(self, call: Call) -> None:
        self._has_mailers = self._has_mailers or call.argument(0) == "smtp"
        self._known("MAILER", answers.MAILERS, call.argument(0), call.line)

    def _filter(self, call: Call) -> None:
        take_filter(self._out, call)

    def _modify_flags(self, call: Call) -> None:
        self._flags(f"{call.name}({call.argument(0)})", call.argument(1), call.line)

    def _flags(self, name: str, flags: str, line: int) -> None:
        """Of a mailer's flags only `e`, expensive, says something about links."""
        if "e" in flags and not flags.startswith("-"):
            self._seen.has_expensive_mailer = True
        if flags.removeprefix("+") != "e":
            give(self._out, answers.MAILER_ARGUMENTS, name, line)

    def _daemon_options(self, call: Call) -> None:
        """A listener for this machine needs nothing more; others need the networks they serve."""
        options = {
            key.strip().lower()[:1]: value.strip()
            for key, _, value in (item.partition("=") for item in call.argument(0).split(","))
        }
        address, port = options.get("a", ""), options.get("p", "smtp")
        port = _PORTS.get(port, port)
        if address not in _LOOPBACK or not re.fullmatch("[1-9][0-9]{0,3}", port):
            what = f"DAEMON_OPTIONS: listening on {address or 'every address'}, port {port}"
            remedy = f'add [listen.lan] with smtp = ["192.168.1.1:{port}"] and networks'
            self._out.differs(call.line, what, remedy)
            return
        name = re.sub(r"[^a-z0-9]+", "-", options.get("n", "").lower()).strip("-") or "smtp"
        host = "[::1]" if ":" in address else "127.0.0.1"
        self._out.add(f"listen.{name}", "smtp", [f"{host}:{port}"], "DAEMON_OPTIONS")
        self._seen.listens = True

    def _site_config(self, call: Call) -> None:
        """SITECONFIG(file, name, class): the neighbours are in a file of their own."""
        name, letter = call.argument(1), call.argument(2)
        if letter == "U":
            self._cf.words("w", f"{name} {name}.UUCP", "SITECONFIG", call.line)
        what = f"SITECONFIG: not understood, siteconfig/{call.argument(0)}.m4 is not read"
        remedy = "write its SITE(...) lines here, or name them in [routing] uucp_old, uucp_new"
        if letter not in ("U", "Y", "Z"):
            remedy = f"name them in the mailertable: site.UUCP uucp-old:{name}"
        self._out.not_understood(call.line, what, remedy)

    def _site(self, call: Call) -> None:
        """SITE(names) of a SITECONFIG file, or SITE(names, S) for those that take uucp-new."""
        letter = "Y" if call.argument(1) == "S" else "U"
        self._cf.words(letter, call.argument(0), "SITE", call.line)

    def _undefine(self, call: Call) -> None:
        name = call.argument(0)
        if name in RELAYS:
            self._out.settings.get(("routing",), {}).pop(RELAYS[name][0], None)
        elif name == "ALIAS_FILE":
            what = "undefine(ALIAS_FILE): aliases are read if they are there"
            self._out.differs(call.line, what, "move the file away")
        else:
            self._out.not_understood(call.line, f"undefine({name}): not understood")

    # --- FEATURE

    def _feature(self, call: Call) -> None:
        name = call.argument(0).removesuffix(".m4")
        if name in _BEFORE_MAILER and self._has_mailers:
            what = f"FEATURE({name}): behind MAILER() it has no effect in sendmail"
            if self._in_order:
                self._out.differs(call.line, what, "write it before MAILER() if it is meant")
                return
            self._out.differs(
                call.line, f"{what}, and has one here", "delete it if it is not meant"
            )
        self._seen.features.add(name)
        handler = _FEATURES.get(name)
        if name in TABLES:
            self._table(name, call)
        elif handler is not None:
            handler(self, call)
        elif name in answers.FEATURES:
            give(self._out, answers.FEATURES[name], f"FEATURE({name})", call.line)
        else:
            known = [*_FEATURES, *TABLES, *answers.FEATURES]
            self._unknown(f"FEATURE({name})", name, known, call.line)

    def _table(self, feature: str, call: Call) -> None:
        """FEATURE(mailertable, `hash -o /etc/mail/mailertable'): the last word is the file."""
        table = TABLES[feature]
        self._seen.tables.add(table)
        self._out.harmless(call.line, f"FEATURE({feature}): the table {table} is always read")
        map_words = call.argument(1).split()
        if map_words and map_words[-1].startswith("/"):
            self._table_file(table, map_words[-1].removesuffix(".db"), call.line)
        elif map_words:
            what = f"FEATURE({feature}): the map {call.argument(1)} is not read"
            self._out.differs(call.line, what, f"write its entries as text into {table}")
        for option in filter(None, (argument.strip().lower() for argument in call.arguments[2:])):
            self._table_option(feature, option, call.line)

    def _table_file(self, table: str, path: str, line: int) -> None:
        folder, _, name = path.rpartition("/")
        self._seen.folders.setdefault(folder or "/", line)
        if name != table:
            what = f"{path}: the table is read from a file named {table}"
            self._out.differs(line, what, f"rename it, or make {folder}/{table} a link to it")

    def _table_option(self, feature: str, option: str, line: int) -> None:
        name = f"FEATURE({feature})"
        if option in answers.TABLE_OPTIONS:
            give(self._out, answers.TABLE_OPTIONS[option], name, line)
        else:
            self._out.not_understood(line, f"{name}: {option}: not understood")

    def _always_add_domain(self, call: Call) -> None:
        self._out.set("local", "always_add_domain", True, "FEATURE(always_add_domain)")
        if call.argument(1):
            what = f"FEATURE(always_add_domain): the hostname is added, not {call.argument(1)}"
            self._out.differs(call.line, what)

    def _choice(self, call: Call, section: str, key: str, values: dict[str, str]) -> None:
        """A feature whose argument is told by its first letter."""
        name = f"FEATURE({call.argument(0)})"
        value = values.get(call.argument(1)[:1].lower())
        if value is None:
            self._out.not_understood(call.line, f"{name}: {call.argument(1)}: not understood")
            return
        self._out.set(section, key, value, name)

    def _delay_checks(self, call: Call) -> None:
        self._choice(call, "access", "delay_checks", {"": "yes", "f": "friend", "h": "hater"})

    def _nouucp(self, call: Call) -> None:
        self._choice(call, "routing", "bang_paths", {"r": "reject", "n": "plain", "": "plain"})
        if not call.argument(1):
            what = "FEATURE(nouucp): nospecial is meant, which sendmail now wants to be said"
            self._out.differs(call.line, what, "write reject or nospecial behind it")

    def _relay_mail_from(self, call: Call) -> None:
        self._choice(call, "access", "relay_mail_from", {"": "address", "d": "domain"})

    def _nocanonify(self, call: Call) -> None:
        if call.argument(1):
            what = "FEATURE(nocanonify): hosts without a dot are left alone too"
            self._out.differs(call.line, what, "write domains in full")

    def _nodns(self, call: Call) -> None:
        self._out.harmless(call.line, "FEATURE(nodns): nothing is asked of the DNS")
        self._seen.asks_no_dns = True

    def _nullclient(self, call: Call) -> None:
        """All mail goes to one hub, also that for users of this machine."""
        name, hub = "FEATURE(nullclient)", call.argument(1)
        self._cf.relay("mail_hub", hub, name, call.line)
        self._cf.relay("smart_host", hub, name, call.line)
        self._cf.name("masquerade", "as", hub, name, call.line)
        self._out.set("masquerade", "all", True, name)
        self._out.set("masquerade", "envelope", True, name)
        what = f"{name}: aliases and .forward are read if they are there"
        self._out.differs(call.line, what, "move the files away")

    # --- define

    def _define(self, call: Call) -> None:
        name, value = call.argument(0), call.argument(1)
        handler = _DEFINES.get(name)
        if name in RELAYS:
            self._cf.relay(RELAYS[name][0], value, name, call.line)
        elif handler is not None:
            handler(self, value, name, call.line)
        elif name in answers.OPTIONS:
            give(self._out, answers.OPTIONS[name], name, call.line)
        elif name.endswith("_MAILER_FLAGS"):
            self._flags(name, value, call.line)
        elif name.endswith(answers.MAILER_DEFINES):
            give(self._out, answers.MAILER_ARGUMENTS, name, call.line)
        elif len(re.findall(rf"\b{re.escape(name)}\b", self._text)) > 1:
            self._out.harmless(call.line, f"define({name}): put in where the file names it")
        else:
            known = [*RELAYS, *_DEFINES, *answers.OPTIONS]
            self._unknown(f"define({name})", name, known, call.line)

    def _hostname(self, value: str, name: str, line: int) -> None:
        self._cf.hostname(value, name, line)

    def _masquerade_name(self, value: str, name: str, line: int) -> None:
        self._cf.name("masquerade", "as", value, name, line)

    def _settings_folder(self, value: str, name: str, line: int) -> None:
        self._cf.folder = value.rstrip("/") or "/"

    def _local_domains_file(self, value: str, name: str, line: int) -> None:
        self._cf.file("w", value, name, line)

    def _relay_domains_file(self, value: str, name: str, line: int) -> None:
        self._cf.file("R", value, name, line)

    def _trusted_users(self, value: str, name: str, line: int) -> None:
        if value.split() == ["root"]:
            self._out.harmless(line, f"{name}: root is always trusted")
        else:
            give(self._out, answers.OPTIONS[name], name, line)

    def _alias_file(self, value: str, name: str, line: int) -> None:
        files = [re.sub(r"^\w+:", "", word) for word in re.split(r"[,\s]+", value) if word]
        files = [file for file in files if file.startswith("/")]
        if not files:
            self._out.not_understood(line, f"{name}: {value or 'nothing'} is no file")
            return
        self._seen.aliases = files[0]
        for other in files[1:]:
            what = f"{name}: {other} is not read, there is one aliases file"
            self._out.differs(line, what, f"put its text into {files[0]}")

    def _forward_path(self, value: str, name: str, line: int) -> None:
        self._seen.forward = value
        self._seen.forward_line = line

    def _max_hops(self, value: str, name: str, line: int) -> None:
        self._cf.number("queue", "max_hops", value, name, line)

    def _message_size(self, value: str, name: str, line: int) -> None:
        if value == "0":
            what = f"{name}: there always is a limit"
            self._out.differs(line, what, "set [queue] message_size_bytes")
            return
        self._cf.number("queue", "message_size_bytes", value, name, line)

    def _uucp_size(self, value: str, name: str, line: int) -> None:
        self._cf.number("routing", "uucp_max_size_bytes", value, name, line)

    def _uux(self, value: str, name: str, line: int) -> None:
        if value.startswith("/"):
            self._out.set("routing", "uux", value, name)
        else:
            self._out.not_understood(line, f"{name}: {value or 'nothing'} is no path of a program")

    def _queue_return(self, value: str, name: str, line: int) -> None:
        days = self._time(value, name, line, "d")
        if days is None:
            return
        self._out.set("queue", "give_up_after_days", max(1, math.ceil(days)), name)
        if days != math.ceil(days):
            self._out.differs(line, f"{name}: {value} is rounded up to whole days")

    def _queue_warn(self, value: str, name: str, line: int) -> None:
        days = self._time(value, name, line, "h")
        if days is None:
            return
        hours = round(days * 24, 6)
        self._out.set("queue", "warn_after_hours", math.ceil(hours), name)
        if hours != math.ceil(hours):
            self._out.differs(line, f"{name}: {value} is rounded up to whole hours")

    def _time(self, value: str, name: str, line: int, usual_unit: str) -> float | None:
        """A length of time as sendmail writes it, in days; None where it is none."""
        parts = re.findall(r"([0-9]{1,9})([smhdw]?)", value)
        if not parts or "".join(map("".join, parts)) != value:
            self._out.not_understood(line, f"{name}: {value or 'nothing'} is no time")
            return None
        return sum(int(count) * _DAYS[unit or usual_unit] for count, unit in parts)

    def _delivery_mode(self, value: str, name: str, line: int) -> None:
        """`deferred` also means that nothing is asked of the DNS when mail is taken."""
        if value[:1] not in ("q", "d"):
            self._out.harmless(line, f"{name}: mail goes as soon as its link is up")
            return
        wait_for_link(self._out, name, line)
        if value[:1] == "d":
            self._seen.asks_no_dns = True

    def _con_expensive(self, value: str, name: str, line: int) -> None:
        self._seen.expensive_line = line if value[:1].lower() in ("t", "y", "1") else None

    # --- lines of the .cf

    def _line(self, item: Text) -> None:
        found = re.match(r"([CDFO])(\{[^}]*\}|.)(.*)", item.text)
        if item.text.startswith("#"):
            return
        if found is None:
            self._rules.add(item)
            return
        self._rules.end()
        letter, name, rest = found[1], found[2].strip("{}"), found[3]
        if letter == "C":
            self._cf.words(name, rest, f"C{name}", item.line)
        elif letter == "F":
            self._cf.file(name, rest, f"F{name}", item.line)
        elif letter == "D":
            self._macro(name, rest.strip(), item.line)
        else:
            self._option_line(item)

    def _macro(self, name: str, value: str, line: int) -> None:
        """`DSrelay`: sendmail has its rules for a relay only if the define is there, and sets S
        itself before LOCAL_CONFIG. Seen with sendmail 8.17."""
        is_late_smart_host = name == "S" and self._rules.section == "LOCAL_CONFIG"
        if name in _DEFINED_BY and not is_late_smart_host:
            what = f"D{name}{value}: has no effect in sendmail"
            remedy = f"write define(`{_DEFINED_BY[name]}', `{value}') if it is meant"
            if self._in_order:
                self._out.differs(line, what, remedy)
                return
            self._out.differs(line, f"{what}, and has one here", "delete it if it is not meant")
        self._cf.macro(name, value, line)

    def _option_line(self, item: Text) -> None:
        found = re.match(r"O\s*([\w.]+)\s*=\s*(.*)", item.text)
        name = _OPTION_NAMES.get(found[1].lower()) if found else None
        if found and name:
            _DEFINES[name](self, found[2].strip(), found[1], item.line)
        else:
            self._out.not_understood(item.line, f"{item.text.strip()}: not understood")


@dataclass(slots=True)
class _Rules:
    """Lines of rules, maps, headers that follow each other: one note. `section` is around them."""

    out: Gathering
    section: str = ""
    lines: list[Text] = field(default_factory=list)

    def add(self, line: Text) -> None:
        self.lines.append(line)

    def end(self) -> None:
        if not self.lines:
            return
        first, last = self.lines[0], self.lines[-1]
        where = f"{self.section}: " if self.section else ""
        which = f"lines {first.line} to {last.line}" if last is not first else "this line"
        what = f"{where}not understood: {which}, beginning with {first.text.strip()[:40]}"
        self.out.not_understood(first.line, what, _RULE_REMEDY)
        self.lines = []


_HANDLERS: dict[str, Callable[[_Import, Call], None]] = {
    "INPUT_MAIL_FILTER": _Import._filter,
    "DAEMON_OPTIONS": _Import._daemon_options,
    "DOMAIN": _Import._domain,
    "FEATURE": _Import._feature,
    "HACK": _Import._not_decided,
    "MAILER": _Import._mailer,
    "MASQUERADE_AS": _Import._masquerade_as,
    "MODIFY_MAILER_FLAGS": _Import._modify_flags,
    "SITE": _Import._site,
    "SITECONFIG": _Import._site_config,
    "define": _Import._define,
    "pushdef": _Import._define,
    "undefine": _Import._undefine,
    "ifdef": _Import._not_decided,
    "ifelse": _Import._not_decided,
    "include": _Import._include,
    "sinclude": _Import._include,
    **dict.fromkeys(SECTIONS, _Import._begin_section),
}

_FEATURES: dict[str, Callable[[_Import, Call], None]] = {
    "always_add_domain": _Import._always_add_domain,
    "delay_checks": _Import._delay_checks,
    "nocanonify": _Import._nocanonify,
    "nodns": _Import._nodns,
    "nouucp": _Import._nouucp,
    "nullclient": _Import._nullclient,
    "relay_mail_from": _Import._relay_mail_from,
}

_DEFINES: dict[str, Callable[[_Import, str, str, int], None]] = {
    "ALIAS_FILE": _Import._alias_file,
    "MAIL_SETTINGS_DIR": _Import._settings_folder,
    "MASQUERADE_NAME": _Import._masquerade_name,
    "UUCP_MAILER_MAX": _Import._uucp_size,
    "UUCP_MAILER_PATH": _Import._uux,
    "UUCP_MAX_SIZE": _Import._uucp_size,
    "confCON_EXPENSIVE": _Import._con_expensive,
    "confCR_FILE": _Import._relay_domains_file,
    "confCW_FILE": _Import._local_domains_file,
    "confDELIVERY_MODE": _Import._delivery_mode,
    "confDOMAIN_NAME": _Import._hostname,
    "confFORWARD_PATH": _Import._forward_path,
    "confMAX_HOP": _Import._max_hops,
    "confMAX_MESSAGE_SIZE": _Import._message_size,
    "confMESSAGE_TIMEOUT": _Import._queue_return,
    "confTO_QUEUERETURN": _Import._queue_return,
    "confTRUSTED_USERS": _Import._trusted_users,
    "confTO_QUEUERETURN_NORMAL": _Import._queue_return,
    "confTO_QUEUEWARN": _Import._queue_warn,
    "confTO_QUEUEWARN_NORMAL": _Import._queue_warn,
}

_OPTION_NAMES = {
    "aliasfile": "ALIAS_FILE",
    "deliverymode": "confDELIVERY_MODE",
    "forwardpath": "confFORWARD_PATH",
    "holdexpensive": "confCON_EXPENSIVE",
    "maxhopcount": "confMAX_HOP",
    "maxmessagesize": "confMAX_MESSAGE_SIZE",
    "timeout.queuereturn": "confTO_QUEUERETURN",
    "timeout.queuewarn": "confTO_QUEUEWARN",
}
"""Options of an O line that a define sets, too."""
