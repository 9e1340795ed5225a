"""`sendmail -bt`: address test mode, the dialogue that administrators know.

    > 3,0 joe@example.org          through rulesets, by number or name
    > /parse joe@example.org       where mail for an address goes
    > /tryflags HS                 which address /try shows: header or envelope, sender or recipient
    > /try esmtp joe               how a mailer writes it
    > /map mailertable x.example   a look-up in a table
    > /mx example.org              mail exchangers, from the DNS
    > $j    $=w                    a macro, a class
    > .Dzvalue    .Cwname          set a macro, add to a class, until the dialogue ends
    > =M                           the mailers
    > /quit

What decides is the policy that routes real mail; its passages are shown under the names that
sendmail's rulesets have. There are no rules as text, so =S shows none, and rulesets that a
configuration may add (Local_...) change nothing. Sendmail Operation Guide, section 4.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from relaynode.cli.macros import Macros
from relaynode.errors import RelaynodeError
from relaynode.mail.address import scan as scan_field
from relaynode.policy.mailer_forms import KINDS, Family
from relaynode.policy.role import Role
from relaynode.policy.rulesets import OF_FAMILY, Rulesets
from relaynode.policy.tokens import join, scan, show
from relaynode.policy.trail import Trail
from relaynode.tables.access_value import format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from relaynode.policy.trail import Passage
    from relaynode.rules import Rules

BANNER = (
    "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)",
    "Enter <ruleset> <address>",
)
PROMPT = "> "

_HELP = """\
RULESETS ADDRESS[,ADDRESS]  pass addresses through rulesets (3,0 or canonify,parse)
/parse ADDRESS              say where mail for it goes
/tryflags [H|E][S|R]        choose header or envelope, sender or recipient for /try
/try MAILER ADDRESS         say how a mailer writes it
/map NAME KEY               look a key up in a table
/canon HOST  /mx HOST       a host's whole name, its mail exchangers
$X  ${NAME}  $=X            show a macro, a class
.DXVALUE  .CXWORDS          set a macro, add to a class
=M                          list the mailers
/quit                       end
"""

_ROLES = {
    ("H", "S"): Role.HEADER_SENDER,
    ("H", "R"): Role.HEADER_RECIPIENT,
    ("E", "S"): Role.ENVELOPE_SENDER,
    ("E", "R"): Role.ENVELOPE_RECIPIENT,
}


def run(
    rules: Rules, lines: Iterable[str], mail_exchangers: Callable[[str], list[str]]
) -> Iterator[str]:
    """What the dialogue prints, piece by piece, for the lines that are typed.

    `mail_exchangers`: the MX hosts of a domain, best first; it may ask the DNS.
    """
    session = AddressTest(rules, mail_exchangers)
    yield "\n".join(BANNER) + "\n" + PROMPT
    for line in lines:
        if line.strip() == "/quit":
            return
        try:
            printed = session.answer(line.rstrip("\r\n"))
        except RelaynodeError as error:
            printed = [str(error)]
        yield "".join(f"{text}\n" for text in printed) + PROMPT


class AddressTest:
    """One dialogue."""

    def __init__(self, rules: Rules, mail_exchangers: Callable[[str], list[str]]) -> None:
        self._rules = rules
        self._mail_exchangers = mail_exchangers
        self._macros = Macros(rules)
        self._role = Role.ENVELOPE_RECIPIENT

    def answer(self, line: str) -> list[str]:
        """The lines to print for one that was typed. Raises: TableError, WireError."""
        match line[:1]:
            case "" | "#":
                return []
            case "?":
                return _HELP.splitlines()
            case "/":
                return self._command(line[1:])
            case "$":
                return self._show(line[1:])
            case "=":
                return self._list(line[1:])
            case ".":
                return self._set(line[1:])
            case "-":
                return []
        return self._pass(line)

    @property
    def _rulesets(self) -> Rulesets:
        names = self._macros.names
        return Rulesets(
            replace(self._rules.routing, names=names), replace(self._rules.masquerade, names=names)
        )

    # --- addresses through rulesets

    def _pass(self, line: str) -> list[str]:
        words = line.split(None, 1)
        if len(words) < 2:
            return ["No address!"] if words else []
        printed: list[str] = []
        for address in _addresses(words[1]):
            printed += self._through(words[0].split(","), address)
        return printed

    def _through(self, names: list[str], address: str) -> list[str]:
        scanned = scan(address)
        printed = [f"{address}... {complaint}" for complaint in scanned.complaints]
        row = scanned.tokens
        for name in names:
            trail = Trail()
            try:
                row = self._rulesets.apply(name, row, trail)
            except LookupError:
                return [*printed, f"Undefined ruleset {name}"]
            printed += passages_of(trail.passages)
        return printed

    # --- commands

    def _command(self, line: str) -> list[str]:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word:
            case "":
                return ["Usage: /[canon|map|mx|parse|try|tryflags]"]
            case "parse":
                return self._parse(rest)
            case "try":
                return self._try(rest)
            case "tryflags":
                return self._try_flags(rest)
            case "map":
                return self._map(rest)
            case "canon":
                return self._canon(rest)
            case "mx":
                return self._mx(rest)
        return [f'Unknown "/" command /{word}']

    def _parse(self, address: str) -> list[str]:
        if not address:
            return ["Usage: /parse address"]
        decision = self._rulesets.routing.route(address)
        printed = [
            f"Cracked address = {_cracked(address)}",
            f"Parsing {_named(self._role)} address",
            *(f"{address}... {complaint}" for complaint in scan(address).complaints),
            *passages_of(decision.passages),
        ]
        if decision.route.status is not None:
            printed.append(f"{address}... {decision.route.status.text}")
        return [*printed, str(decision.route)]

    def _try(self, rest: str) -> list[str]:
        mailer, _, address = rest.partition(" ")
        address = address.strip()
        if not address:
            return ["Usage: /try mailer address"]
        if mailer not in KINDS:
            return [f"Unknown mailer {mailer}"]
        trail = Trail()
        written = self._rulesets.write(mailer, self._role, scan(address).tokens, trail)
        return [
            f"Trying {_named(self._role)} address {address} for mailer {mailer}",
            *passages_of(trail.passages),
            f"Rcode = 0, addr = {join(written)}",
        ]

    def _try_flags(self, flags: str) -> list[str]:
        kind, side = "H", "S"
        if not flags:
            return ["Usage: /tryflags [Hh|Ee][Ss|Rr]"]
        for flag in flags.upper():
            kind = flag if flag in "HE" else kind
            side = flag if flag in "SR" else side
        self._role = _ROLES[kind, side]
        return []

    def _map(self, rest: str) -> list[str]:
        name, _, key = rest.partition(" ")
        if not name:
            return ["Usage: /map mapname key"]
        if not key.strip():
            return ["No key specified"]
        key = key.strip()
        if name not in _MAPS:
            return [f'Map named "{name}" not found']
        value = _MAPS[name](self._rules, key.lower())
        found = "no match" if value is None else f"returns {value}"
        return [f"map_lookup: {name} ({key}) {found} (0)"]

    def _canon(self, host: str) -> list[str]:
        if not host:
            return ["Usage: /canon address"]
        if host.lower() in self._macros.names.local:
            return [f"getcanonname({host}) returns {self._macros.names.hostname}"]
        return [f"getcanonname({host}) returns {host}"]

    def _mx(self, host: str) -> list[str]:
        if not host:
            return ["Usage: /mx address"]
        hosts = self._mail_exchangers(host)
        return [
            f"getmxrr({host}) returns {len(hosts)} value(s):",
            *(f"\t{exchanger}." for exchanger in hosts),
        ]

    # --- macros, classes, mailers

    def _show(self, name: str) -> list[str]:
        if name.startswith("="):
            return sorted(self._macros.words(name[1:]))
        if not name:
            return ["Name required for macro/class"]
        return [self._macros.value(name.strip("{}")) or "Undefined"]

    def _set(self, line: str) -> list[str]:
        if line[:1] not in ("D", "C"):
            return ["Usage: .[DC]macro value(s)"] if not line else [f'Unknown "." command .{line}']
        name = re.match(r"\{[^}]*\}|.", line[1:])
        if name is None:
            return ["Name required for macro/class"]
        value = line[1 + name.end() :].strip()
        if line[0] == "D":
            self._macros.define(name[0].strip("{}"), value)
        else:
            self._macros.add(name[0], value.split())
        return []

    def _list(self, line: str) -> list[str]:
        if line == "M":
            return list(_mailers())
        if line.startswith("S"):
            return []
        if not line:
            return ["Usage: =Sruleset or =M"]
        return [f'Unknown "=" command ={line}']


def _in(table: str) -> Callable[[Rules, str], str | None]:
    def look_up(rules: Rules, key: str) -> str | None:
        entry = getattr(rules.tables, table).entries.get(key)
        return None if entry is None else str(entry.value)

    return look_up


def _in_access(rules: Rules, key: str) -> str | None:
    entry = rules.tables.access.entries.get(key)
    return None if entry is None else format_value(entry.value)


_MAPS: dict[str, Callable[[Rules, str], str | None]] = {
    "mailertable": _in("mailertable"),
    "virtuser": _in("virtusertable"),
    "generics": _in("genericstable"),
    "access": _in_access,
    "aliases": _in("aliases"),
    "aliases.files": _in("aliases"),
}
"""sendmail's names for the tables."""


def _named(role: Role) -> str:
    return role.value.replace("-", " ")


def _addresses(text: str) -> list[str]:
    """The addresses of a line: commas divide them, unless they are quoted or in brackets."""
    found, depth, is_quoted, start = [], 0, False, 0
    for place, char in enumerate(text):
        if char == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif char in "<(":
            depth += 1
        elif char in ">)":
            depth -= 1
        elif char == "," and depth <= 0:
            found.append(text[start:place])
            start = place + 1
    found.append(text[start:])
    return [one.strip() for one in found if one.strip()]


def _cracked(address: str) -> str:
    """The text with $g in the place of the address itself."""
    raw = address.encode("utf-8", "surrogateescape")
    found = scan_field(raw)
    if len(found) != 1:
        return "$g"
    before, after = raw[: found[0].start], raw[found[0].end :]
    return (before + b"$g" + after).decode("utf-8", "surrogateescape").strip()


def passages_of(passages: Iterable[Passage]) -> list[str]:
    """How an address went through rulesets, a line for each way in and out."""
    return [
        f"{one.ruleset:<16}{' returns' if one.is_return else '   input'}: {show(one.tokens)}"
        for one in passages
    ]


def _mailers() -> Iterator[str]:
    for number, (name, kind) in enumerate(KINDS.items()):
        way = "uux" if kind.is_uucp else name if kind.family is Family.HOME else "[IPC]"
        sender, shown, recipient, listed = OF_FAMILY[kind.family]
        yield f"mailer {number} ({name}): P={way} S={sender}/{shown} R={recipient}/{listed}"
