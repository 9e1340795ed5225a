"""Lines of a sendmail.cf as they stand in an .mc: classes and macros, and what is made of them.

    Cw other.example             a class: words            (LOCAL_DOMAIN and its kin make such)
    F{VirtHost}/etc/mail/virt    a class: words of a file  (VIRTUSER_DOMAIN_FILE)
    DSrelay.example.net          a macro                   (define(`SMART_HOST', ...))

Only these. Rules, maps, headers and mailers are not understood; sendmail_mc says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.sendmail_answers import OPTIONS, give
from relaynode.errors import AddressError
from relaynode.mail.address import parse_path
from relaynode.tables.relay_value import relay_problem

if TYPE_CHECKING:
    from relaynode.config.imported import Gathering

TABLES_FOLDER = "/etc/mail"
"""Where sendmail has its tables, and relaynode's [node] tables points to by default."""

_NAME = re.compile(r"[^\s<>@,;:\"$#/][^\s<>@,;:\"$#]{0,254}\Z")
_CLIENT = re.compile(r"(?:IPv6:)?[0-9A-Fa-f:.]+\Z")

CLASSES: dict[str, tuple[str, str]] = {
    "w": ("node", "local_domains"),
    "E": ("masquerade", "exposed_users"),
    "M": ("masquerade", "domains"),
    "N": ("masquerade", "exceptions"),
    "G": ("masquerade", "generics_domains"),
    "L": ("routing", "local_users"),
    "U": ("routing", "uucp_old"),
    "Y": ("routing", "uucp_new"),
    "Z": ("routing", "uucp_uudom"),
    "VirtHost": ("routing", "virtual_domains"),
    "R": ("access", "relay_domains"),
}
"""sendmail's classes and the list of ours that is the same."""

RELAYS = {
    "SMART_HOST": ("smart_host", "S"),
    "UUCP_RELAY": ("uucp_relay", "Y"),
    "MAIL_HUB": ("mail_hub", "H"),
    "LOCAL_RELAY": ("local_relay", "R"),
    "LUSER_RELAY": ("luser_relay", "L"),
}
"""Defines of relays: the key in [routing] and the letter of a D line."""

_OWN_NAMES = ("$w", "$j", "$=w", "$k")


@dataclass(slots=True)
class CfLines:
    """What such lines add up to. `folder` is where the tables are by default."""

    out: Gathering
    folder: str = TABLES_FOLDER
    macros: dict[str, str] = field(default_factory=dict)

    def words(self, name: str, text: str, origin: str, line: int) -> None:
        """Put words into a class."""
        if not self._is_known(name, origin, line):
            return
        words = [self.expanded(word) for word in text.split()]
        good = [word for word in words if _fits(word, name)]
        for word in words:
            if word not in good and word not in _OWN_NAMES:
                self.out.differs(line, f"{origin}: {word} is no name, it is left out")
        if good:
            self.out.add(*CLASSES[name], good, origin)

    def file(self, name: str, text: str, origin: str, line: int) -> None:
        """`-o /etc/mail/virthosts %[^\\#]`: put the words of a file into a class."""
        if not self._is_known(name, origin, line):
            return
        words = [word for word in text.split() if not word.startswith("%")]
        path = words[-1] if words else ""
        usual = {"w": f"{self.folder}/local-host-names", "R": f"{self.folder}/relay-domains"}
        if not path.startswith("/") or not re.fullmatch(r"[^\s<>@,;:\"]{1,255}", path):
            self.out.not_understood(line, f"{origin}: {text.strip()}: not understood")
        elif path == usual.get(name):
            self.out.harmless(line, f"{origin}: {path} is always read")
        else:
            self.out.add(*CLASSES[name], [path], origin)

    def _is_known(self, name: str, origin: str, line: int) -> bool:
        if name == "t":
            give(self.out, OPTIONS["confTRUSTED_USERS"], origin, line)
        elif name not in CLASSES:
            what = f"{origin}: not understood, nothing is known of class {name}"
            self.out.not_understood(line, what, "say what it is for in [routing] or a table")
        return name in CLASSES

    def macro(self, name: str, value: str, line: int) -> None:
        """`Djbsd.home`: one of sendmail's macros."""
        relay = next((key for key, letter in RELAYS.values() if letter == name), None)
        if relay is not None:
            self.relay(relay, value, f"D{name}", line)
        elif name == "j":
            self.hostname(value, "Dj", line)
        elif name == "M":
            self.name("masquerade", "as", value, "DM", line)
        elif name in ("m", "w"):
            self.macros[name] = value
            self.out.harmless(line, f"D{name}{value}: the hostname says it")
        else:
            self.macros[name] = value
            shown = name if len(name) == 1 else f"{{{name}}}"
            self.out.not_understood(line, f"D{shown}{value}: not understood")

    def relay(self, key: str, value: str, name: str, line: int) -> None:
        """A relay: SMART_HOST and its kin."""
        if not value:
            self.out.harmless(line, f"{name}: empty, there is none")
            return
        wrong = relay_problem(value)
        if wrong is not None:
            self.out.not_understood(line, f"{name}: {value} is no relay: {wrong[0]}", wrong[1])
            return
        self.out.set("routing", key, value, name)

    def hostname(self, value: str, name: str, line: int) -> None:
        """Our own name."""
        if value in ("$w", "$w.$m") and not {"w", "m"} & set(self.macros):
            self.out.harmless(line, f"{name}: what the machine calls itself")
            return
        self.name("node", "hostname", value, name, line)
        self.macros["j"] = value

    def name(self, section: str, key: str, value: str, name: str, line: int) -> None:
        """A key whose value is a domain."""
        value = self.expanded(value)
        if not _fits(value, "w"):
            self.out.not_understood(line, f"{name}: {value or 'nothing'} is no domain")
            return
        self.out.set(section, key, value, name)

    def number(self, section: str, key: str, value: str, name: str, line: int) -> None:
        """A key whose value is a number above 0."""
        if not re.fullmatch("[0-9]{1,18}", value) or not int(value):
            self.out.not_understood(line, f"{name}: {value or 'nothing'} is no number above 0")
            return
        self.out.set(section, key, int(value), name)

    def expanded(self, text: str) -> str:
        """`text` with `$m` and its kin filled in, as far as they are known."""
        return re.sub(
            r"\$(\w|\{\w+\})",
            lambda found: self.macros.get(found[1].strip("{}"), found[0]),
            text,
        )


def _fits(word: str, class_name: str) -> bool:
    """Can the word be in the list that a class is for us?"""
    if class_name == "R" and _CLIENT.match(word):
        return True
    if not _NAME.match(word):
        return False
    if class_name in ("E", "L"):
        return True
    try:
        return bool(parse_path(f"x@{word}", allow_utf8=True))
    except AddressError:
        return False
