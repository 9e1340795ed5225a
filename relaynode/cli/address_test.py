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

from relaynode import __version__
from relaynode.errors import RelaynodeError
from relaynode.mail.address import scan as scan_field
from relaynode.policy import forms
from relaynode.policy.canonify import canonify, focus
from relaynode.policy.forms import Place
from relaynode.policy.mailer_forms import KINDS, SENDERS, Family, Role, form
from relaynode.policy.masquerade import hide, hide_in_envelope
from relaynode.policy.syntax import resolve_local
from relaynode.policy.tokens import Tokens, join, scan, show
from relaynode.policy.trail import Trail
from relaynode.tables.access_value import format_value
from relaynode.tables.keyed import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from relaynode.policy.canonify import Focus
    from relaynode.policy.masquerade import Masquerade
    from relaynode.policy.names import Names
    from relaynode.policy.route import Routing
    from relaynode.policy.trail import Passage
    from relaynode.rules import Rules
    from relaynode.tables.access import AccessEntry

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

_NUMBERS = {
    "0": "parse",
    "3": "canonify",
    "4": "final",
    "5": "localaddr",
    "90": "Mailertable",
    "93": "MasqHdr",
    "94": "MasqEnv",
    "95": "MailerToTriple",
    "96": "Canonify2",
    "97": "Recurse",
    "98": "ParseLocal",
}

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
        self._role = Role.ENVELOPE_RECIPIENT
        self._macros: dict[str, str] = {}
        self._added: dict[str, set[str]] = {}

    def answer(self, line: str) -> list[str]:
        """The lines to print for one that was typed. Raises: TableError."""
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
        return self._rulesets(line)

    @property
    def _names(self) -> Names:
        names = self._rules.names
        added = {
            "local": frozenset(self._added.get("w", ())),
            "virtual": frozenset(self._added.get("{VirtHost}", ())),
        }
        more = {key: getattr(names, key) | extra for key, extra in added.items() if extra}
        return replace(names, **more) if more else names

    # --- addresses through rulesets

    def _rulesets(self, line: str) -> list[str]:
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
                row = self._apply(name, row, trail)
            except LookupError:
                return [*printed, *_passages(trail), f"Undefined ruleset {name}"]
            printed += _passages(trail)
        return printed

    def _apply(self, name: str, row: Tokens, trail: Trail) -> Tokens:
        """Pass a row through one ruleset. Raises: LookupError if there is none of that name."""
        name = _NUMBERS.get(name, name)
        if name == "canonify":
            return canonify(self._names, row, trail).tokens
        if name == "parse":
            return self._routing.parse(focus(row), trail).tokens
        if name == "Recurse":
            return self._routing.recurse(row, trail).tokens
        if name == "Parse0":
            return resolve_local(self._names, focus(row), trail).tokens
        if name == "final":
            return forms.written(focus(row), self._place(trail))
        if name in _RULESETS:
            return _RULESETS[name](self, focus(row), trail).tokens
        if name in _EMPTY_RULESETS or name.isdecimal():
            trail.enter(name, row)
            trail.leave(name, row)
            return row
        raise LookupError(name)

    @property
    def _routing(self) -> Routing:
        return replace(self._rules.routing, names=self._names)

    @property
    def _masquerade(self) -> Masquerade:
        return replace(self._rules.masquerade, names=self._names)

    def _place(self, trail: Trail) -> Place:
        masquerade = self._masquerade
        return Place(
            masquerade.names,
            uucp_relay=masquerade.uucp_relay,
            always_add_domain=masquerade.always_add_domain,
            trail=trail,
        )

    def hide(self, address: Focus, trail: Trail) -> Focus:
        """MasqHdr."""
        return hide(self._masquerade, address, trail)

    def hide_in_envelope(self, address: Focus, trail: Trail) -> Focus:
        """MasqEnv."""
        return hide_in_envelope(self._masquerade, address, trail)

    def form(self, mailer: str, role: Role, address: Focus, trail: Trail) -> Focus:
        """How a mailer writes an address."""
        return form(self._masquerade, mailer, role, address, self._place(trail))

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
        scanned = scan(address)
        decision = self._routing.route(address)
        printed = [
            f"Cracked address = {_cracked(address)}",
            f"Parsing {self._role.value.replace('-', ' ')} address",
            *(f"{address}... {complaint}" for complaint in scanned.complaints),
            *passages_of(decision.passages),
        ]
        if decision.route.status is not None:
            printed.append(f"{address}... {decision.route.status.text}")
        return [*printed, str(decision.route)]

    def _try(self, rest: str) -> list[str]:
        mailer, _, address = rest.partition(" ")
        if not address.strip():
            return ["Usage: /try mailer address"]
        if mailer not in KINDS:
            return [f"Unknown mailer {mailer}"]
        role, trail = self._role, Trail()
        address = address.strip()
        found = canonify(self._names, scan(address).tokens, trail)
        for name in ("1" if role in SENDERS else "2",):
            trail.enter(name, found.tokens)
            trail.leave(name, found.tokens)
        written = forms.written(self.form(mailer, role, found, trail), self._place(trail))
        return [
            f"Trying {role.value.replace('-', ' ')} address {address} for mailer {mailer}",
            *_passages(trail),
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
        entries = self._table(name)
        if entries is None:
            return [f'Map named "{name}" not found']
        entry = entries.get(key.strip().lower())
        found = "no match" if entry is None else f"returns {entry.value}"
        return [f"map_lookup: {name} ({key.strip()}) {found} (0)"]

    def _table(self, name: str) -> Mapping[str, Entry] | None:
        tables = self._rules.tables
        match name:
            case "mailertable":
                return tables.mailertable.entries
            case "virtuser" | "virtusertable":
                return tables.virtusertable.entries
            case "generics" | "genericstable":
                return tables.genericstable.entries
            case "access":
                return _texts(tables.access.entries)
            case "aliases" | "alias" | "aliases.files":
                return tables.aliases.entries
        return None

    def _canon(self, host: str) -> list[str]:
        if not host:
            return ["Usage: /canon address"]
        if host.lower() in self._names.local:
            return [f"getcanonname({host}) returns {self._names.hostname}"]
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
            return sorted(self._class(name[1:]))
        if not name:
            return ["Name required for macro/class"]
        return [self._macro(_bare(name))]

    def _macro(self, name: str) -> str:
        names = self._rules.names
        masquerade, relays = self._rules.masquerade, self._rules.routing.relays
        known = {
            "j": names.hostname,
            "w": names.hostname.partition(".")[0],
            "m": names.parent_domain or names.hostname,
            "k": names.hostname,
            "M": masquerade.as_domain,
            "S": relays.smart_host,
            "Y": relays.uucp_relay,
            "H": relays.mail_hub,
            "R": relays.local_relay,
            "L": relays.luser_relay,
            "n": join(forms.NOBODY),
            "Z": __version__,
            "v": __version__,
            **self._macros,
        }
        return known.get(name) or "Undefined"

    def _class(self, name: str) -> set[str]:
        names, masquerade = self._names, self._rules.masquerade
        name = f"{{{_bare(name)}}}" if name.startswith("{") else name
        known: dict[str, Iterable[object]] = {
            "w": names.local,
            "M": names.masqueraded,
            "G": names.generic,
            "{VirtHost}": names.virtual,
            "E": masquerade.exposed_users,
            "N": masquerade.exceptions,
            "L": self._rules.routing.local_users,
            "O": names.separators,
            "R": self._rules.tables.relay_domains.lines,
        }
        return {str(word) for word in known.get(name, ())} | self._added.get(name, set())

    def _set(self, line: str) -> list[str]:
        if line[:1] not in ("D", "C"):
            return ["Usage: .[DC]macro value(s)"] if not line else [f'Unknown "." command .{line}']
        name = re.match(r"\{[^}]*\}|.", line[1:])
        if name is None:
            return ["Name required for macro/class"]
        value = line[1 + name.end() :].strip()
        if line[0] == "D":
            self._macros[_bare(name[0])] = value
        else:
            self._added.setdefault(name[0], set()).update(value.lower().split())
        return []

    def _list(self, line: str) -> list[str]:
        if line == "M":
            return list(_mailers())
        if line.startswith("S"):
            return []
        if not line:
            return ["Usage: =Sruleset or =M"]
        return [f'Unknown "=" command ={line}']


def _at_home(role: Role) -> Callable[[AddressTest, Focus, Trail], Focus]:
    return lambda test, address, trail: test.form("local", role, address, trail)


def _of(mailer: str, role: Role) -> Callable[[AddressTest, Focus, Trail], Focus]:
    return lambda test, address, trail: test.form(mailer, role, address, trail)


def _of_form(one: forms.Form) -> Callable[[AddressTest, Focus, Trail], Focus]:
    return lambda test, address, trail: one(address, test._place(trail))


_RULESETS: dict[str, Callable[[AddressTest, Focus, Trail], Focus]] = {
    "MasqHdr": AddressTest.hide,
    "MasqEnv": AddressTest.hide_in_envelope,
    "MasqSMTP": _of_form(forms.qualified),
    "PseudoToReal": _of_form(forms.without_pseudo_domain),
    "AddDomain": _of_form(forms.qualified_at_home),
    "HdrFromSMTP": _of("esmtp", Role.HEADER_SENDER),
    "EnvFromSMTP": _of("esmtp", Role.ENVELOPE_SENDER),
    "EnvToSMTP": _of("esmtp", Role.ENVELOPE_RECIPIENT),
    "HdrFromL": _of("local", Role.HEADER_SENDER),
    "HdrToL": _of("local", Role.HEADER_RECIPIENT),
    "EnvFromL": _of("local", Role.ENVELOPE_SENDER),
    "EnvToL": _of("local", Role.ENVELOPE_RECIPIENT),
    "FromU": _of("uucp-old", Role.ENVELOPE_SENDER),
    "HdrToU": _of("uucp-old", Role.HEADER_RECIPIENT),
    "EnvToU": _of("uucp-old", Role.ENVELOPE_RECIPIENT),
    "EnvFromUD": _of("uucp-dom", Role.ENVELOPE_SENDER),
    "EnvFromUUD": _of("uucp-uudom", Role.ENVELOPE_SENDER),
}

_EMPTY_RULESETS = frozenset({"ParseLocal", "Local_check_mail", "Local_check_rcpt"})
"""Rulesets that only a configuration of one's own fills."""


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


def _texts(entries: Mapping[str, AccessEntry]) -> dict[str, Entry]:
    return {
        key: Entry(key, format_value(entry.value), entry.line) for key, entry in entries.items()
    }


def _bare(name: str) -> str:
    return name.strip("{}")


def _passages(trail: Trail) -> list[str]:
    return passages_of(trail.passages)


def passages_of(passages: Iterable[Passage]) -> list[str]:
    """How an address went through rulesets, a line for each way in and out."""
    return [
        f"{one.ruleset:<16}{' returns' if one.is_return else '   input'}: {show(one.tokens)}"
        for one in passages
    ]


_SENDERS_AND_RECIPIENTS = {
    Family.SMTP: "S=EnvFromSMTP/HdrFromSMTP R=EnvToSMTP/EnvToSMTP",
    Family.RELAY: "S=EnvFromSMTP/HdrFromSMTP R=MasqSMTP/MasqSMTP",
    Family.HOME: "S=EnvFromL/HdrFromL R=EnvToL/HdrToL",
    Family.UUCP_OLD: "S=FromU/FromU R=EnvToU/HdrToU",
    Family.UUCP_DOM: "S=EnvFromUD/HdrFromSMTP R=EnvToSMTP/EnvToSMTP",
    Family.UUCP_UUDOM: "S=EnvFromUUD/HdrFromSMTP R=EnvToSMTP/EnvToSMTP",
}
"""The rulesets for senders and recipients, in the envelope and in the header."""


def _mailers() -> Iterator[str]:
    for number, (name, kind) in enumerate(KINDS.items()):
        way = "uux" if kind.is_uucp else name if kind.family is Family.HOME else "[IPC]"
        yield f"mailer {number} ({name}): P={way} {_SENDERS_AND_RECIPIENTS[kind.family]}"
