"""Reads a .fetchmailrc, the file of fetchmail 6.4, as it is. Pure: it gets the text.

    set OPTION ...                                            globals
    defaults SERVER-OPTIONS user ... USER-OPTIONS             what later entries begin with
    poll|server|skip NAME SERVER-OPTIONS [user ... USER-OPTIONS]*

What may follow an option is in fetchmailrc_words.py, tokens are cut by fetchmailrc_lexer.py.
Here entries keep what was said, and None for what was not; fetchmail_entries.py fills that in.

A mistake is reported in fetchmail's words, which scripts and people know.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.config.fetchmailrc_lexer import Kind, Token, tokens
from relaynode.config.fetchmailrc_words import (
    AUTHS,
    BAD_HEADERS,
    GLOBALS,
    PROTOCOLS,
    SERVER,
    USER,
    Form,
    Option,
)
from relaynode.errors import RelaynodeError

if TYPE_CHECKING:
    from collections.abc import Callable

PS_SYNTAX = 5
"""fetchmail's exit code for a mistake in its file or on its command line."""

DEFAULTS = "defaults"

NO_ENVELOPE = False
"""In place of a header's name: no header is to be looked at."""

Values = dict[str, Any]
"""Options by their field; one that is not there was not said."""


class FetchmailrcError(RelaynodeError):
    """The file is wrong. `lines`: as fetchmail prints them."""

    exit_code = PS_SYNTAX

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(slots=True)
class UserEntry:
    """What is said of one mailbox. `names` are local, or (on the server, local); `*` is apart."""

    values: Values = field(default_factory=dict)
    names: list[str | tuple[str, str]] = field(default_factory=list)
    passes_others: bool = False


@dataclass(slots=True)
class ServerEntry:
    """What is said of one server. `line`: where the entry begins."""

    name: str
    is_active: bool = True
    line: int = 0
    values: Values = field(default_factory=dict)
    users: list[UserEntry] = field(default_factory=list)


@dataclass(slots=True)
class Fetchmailrc:
    """A whole file."""

    globals: Values = field(default_factory=dict)
    servers: list[ServerEntry] = field(default_factory=list)


def parse(text: str, file: str) -> Fetchmailrc:
    """Read the text of `file`, whose name is in the errors. Raises: FetchmailrcError."""
    return _Parser(text, file).parse()


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._tokens = tokens(text)
        self._file = file
        self._rc = Fetchmailrc()
        self._complaints: list[str] = []  # that do not end the reading
        self._last = self._next = next(self._tokens)

    def parse(self) -> Fetchmailrc:
        """Raises: FetchmailrcError."""
        try:
            while self._next.kind is not Kind.END:
                self._statement()
        except FetchmailrcError as error:
            raise FetchmailrcError(*self._complaints, *error.lines) from error
        if self._complaints:
            raise FetchmailrcError(*self._complaints)
        return self._rc

    def _statement(self) -> None:
        line = self._next.line
        if self._takes("set"):
            self._set()
        elif self._takes(DEFAULTS):
            self._entry(ServerEntry(DEFAULTS, line=line))
        elif self._takes("poll", "server"):
            self._entry(ServerEntry(self._string(), line=line))
        elif self._takes("skip"):
            self._entry(ServerEntry(self._string(), is_active=False, line=line))
        else:
            raise self._syntax_error()

    # --- tokens

    def _advance(self) -> Token:
        self._last = self._next
        if self._last.kind is not Kind.END:
            self._next = next(self._tokens)
        return self._last

    def _takes(self, *words: str) -> bool:
        """Take the next token if it is one of these keywords."""
        is_there = self._next.is_word(*words)
        if is_there:
            self._advance()
        return is_there

    def _string(self) -> str:
        if self._next.kind is not Kind.STRING:
            raise self._syntax_error()
        return self._advance().value

    def _number(self) -> int:
        if self._next.kind is not Kind.NUMBER:
            raise self._syntax_error()
        return _as_c_int(self._advance().value)

    def _choice(self, choices: dict[str, Any]) -> Any:
        if not self._next.is_word(*choices):
            raise self._syntax_error()
        return choices[self._advance().value]

    def _syntax_error(self) -> FetchmailrcError:
        return FetchmailrcError(self._complaint("syntax error", self._next))

    def _complaint(self, text: str, token: Token) -> str:
        place = token.text or "end of input"
        return f"fetchmail:{self._file}:{token.line}: {text} at {place}"

    # --- options

    def _set(self) -> None:
        is_negated = self._takes("no")
        option = self._option(GLOBALS, is_negated)
        self._give(self._rc.globals, option, is_negated)

    def _option(self, known: dict[str, Option], is_negated: bool) -> Option:
        """Take the name of an option. Raises: FetchmailrcError."""
        if not self._is_option(known, is_negated):
            raise self._syntax_error()
        return known[self._advance().value]

    def _is_option(self, known: dict[str, Option], is_negated: bool) -> bool:
        option = known.get(self._next.value) if self._next.kind is Kind.WORD else None
        return option is not None and (option.can_negate or not is_negated)

    def _give(self, values: Values, option: Option, is_negated: bool) -> None:
        """Take what follows an option's name into `values`."""
        if is_negated and option.form is Form.ENVELOPE:
            values["envelope"] = NO_ENVELOPE
        elif option.form is Form.FLAG:
            values[option.field] = option.no_means if is_negated else True
        else:
            _FORMS[option.form](self, values, option.field)

    def _text(self, values: Values, name: str) -> None:
        values[name] = self._string()

    def _one_number(self, values: Values, name: str) -> None:
        values[name] = self._number()

    def _strings(self, values: Values, name: str) -> None:
        found = values.setdefault(name, [])
        found.append(self._string())
        while self._next.kind is Kind.STRING:
            found.append(self._string())

    def _numbers(self, values: Values, name: str) -> None:
        found = values.setdefault(name, [])
        found.append(self._number())
        while self._next.kind is Kind.NUMBER:
            found.append(self._number())

    def _service(self, values: Values, name: str) -> None:
        if self._next.kind is Kind.NUMBER:
            self._port(values, name)
        else:
            values[name] = self._string()

    def _port(self, values: Values, name: str) -> None:
        values[name] = str(self._number())[:9]

    def _envelope(self, values: Values, name: str) -> None:
        skips = self._number() if self._next.kind is Kind.NUMBER else 0
        values[name], values["envskip"] = self._string(), skips

    def _interface(self, values: Values, name: str) -> None:
        values[name] = self._string()
        check_interface(values[name])

    def _protocol(self, values: Values, name: str) -> None:
        values[name] = self._choice(PROTOCOLS)
        if values[name] == "kpop":
            values["service"] = "kpop"

    def _auth(self, values: Values, name: str) -> None:
        values[name] = self._choice(AUTHS)

    def _bad_header(self, values: Values, name: str) -> None:
        values[name] = self._choice(BAD_HEADERS)

    # --- entries

    def _entry(self, entry: ServerEntry) -> None:
        self._rc.servers.append(entry)
        is_negated = self._server_options(entry)
        if self._next.is_word("user", "username") and not is_negated:
            while self._takes("user", "username"):
                user = UserEntry()
                entry.users.append(user)
                self._user_name(user)
                self._user_options(user)
        elif is_negated or self._is_user_option():
            user = UserEntry()
            entry.users.append(user)
            self._user_options(user, is_negated=is_negated)
        self._misplaced()
        _check_place(self._rc.servers)

    def _server_options(self, entry: ServerEntry) -> bool:
        """Take them; True when a `no` has been taken behind which there is none."""
        while True:
            is_negated = self._takes("no")
            if not self._is_option(SERVER, is_negated):
                return is_negated
            self._give(entry.values, SERVER[self._advance().value], is_negated)

    def _is_user_option(self) -> bool:
        return self._next.is_word("is", "to", "no") or self._is_option(USER, is_negated=False)

    def _user_options(self, user: UserEntry, *, is_negated: bool = False) -> None:
        """Take them. `is_negated`: the `no` of the first has been taken."""
        while is_negated or self._is_user_option():
            is_negated = self._takes("no") or is_negated
            if not is_negated and self._takes("is", "to"):
                self._local_names(user, can_be_remote=self._last.value == "is")
            else:
                self._give(user.values, self._option(USER, is_negated), is_negated)
            is_negated = False

    def _user_name(self, user: UserEntry) -> None:
        """`user REMOTE`, `user REMOTE there`, `user LOCAL... here`."""
        first = self._string()
        if self._next.kind in (Kind.STRING, Kind.MAPS) or self._next.is_word("here"):
            self._names(user, first)
            if not self._takes("here"):
                raise self._syntax_error()
        else:
            self._takes("there")
            user.values["remote"] = first

    def _local_names(self, user: UserEntry, *, can_be_remote: bool) -> None:
        """`is LOCAL... [here]`, `is REMOTE there`."""
        first = self._string()
        if can_be_remote and self._takes("there"):
            user.values["remote"] = first
        else:
            self._names(user, first)
            self._takes("here")

    def _names(self, user: UserEntry, name: str) -> None:
        while True:
            if self._next.kind is Kind.MAPS:
                self._advance()
                user.names.append((name, self._string()))
            elif name == "*":
                user.passes_others = True
            else:
                user.names.append(name)
            if self._next.kind is not Kind.STRING:
                return
            name = self._string()

    def _misplaced(self) -> None:
        """One server option behind user options is reported, and reading goes on behind it."""
        if not self._is_option(SERVER, is_negated=False):
            return
        option = SERVER[self._advance().value]
        self._give({}, option, is_negated=False)
        # A list has an end only at the token behind it.
        token = self._next if option.form is Form.STRINGS else self._last
        self._complaints.append(self._complaint("server option after user options", token))


_FORMS: dict[Form, Callable[[_Parser, Values, str], None]] = {
    Form.TEXT: _Parser._text,
    Form.NUMBER: _Parser._one_number,
    Form.STRINGS: _Parser._strings,
    Form.NUMBERS: _Parser._numbers,
    Form.SERVICE: _Parser._service,
    Form.PORT: _Parser._port,
    Form.ENVELOPE: _Parser._envelope,
    Form.INTERFACE: _Parser._interface,
    Form.PROTOCOL: _Parser._protocol,
    Form.AUTH: _Parser._auth,
    Form.BAD_HEADER: _Parser._bad_header,
}


def _check_place(servers: list[ServerEntry]) -> None:
    """`defaults` stands first. (A second directly behind it is a server of that name.)"""
    index = len(servers) - 1
    if servers[index].name == DEFAULTS and index > 0:
        if index == 1 and servers[0].name == DEFAULTS:
            return
        raise FetchmailrcError(
            'fetchmail: Error: multiple "defaults" records in config file, or "defaults" is not'
            " the first record."
        )


def check_interface(text: str) -> None:
    """`NAME/ADDRESS[/MASK]`. Raises: FetchmailrcError."""
    _, slash, rest = text.partition("/")
    address, _, mask = rest.partition("/")
    if not slash:
        raise FetchmailrcError("fetchmail: missing IP interface address")
    for what, value in (("address", address), ("mask", mask or "255.255.255.255")):
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            raise FetchmailrcError(f"fetchmail: invalid IP interface {what}") from None


def _as_c_int(text: str) -> int:
    """As C's atoi on a machine of 64 bits: beyond 32 bits it wraps."""
    digits = text.lstrip("-").lstrip("0")[:20] or "0"  # more than that is too large anyway
    value = max(-(1 << 63), min((1 << 63) - 1, int(digits) * (-1 if text[0] == "-" else 1)))
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)
