"""Reads the m4 of a sendmail .mc: quotes, `dnl`, diversions, macro calls and what is left over.

    define(`SMART_HOST', `relay.example.net')dnl      Call("define", ("SMART_HOST", "relay..."))
    Cw other.example                                  Text("Cw other.example")

What the macros mean is told in sendmail_mc. Of m4 itself only names that the file defines are
replaced, as its authors use them (MAIL_SETTINGS_DIR`'access); `ifdef` and its kin are not decided
here, they come out as calls. As cf/m4/cfhead.m4 turns comments off, a `#` hides nothing from m4.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BUILTIN = re.compile(
    r"(?:s?include|if(?:def|else)|(?:un)?divert|(?:un)?define|(?:push|pop)def"
    r"|changequote|changecom|errprint|e?syscmd|m4wrap|translit|eval)\Z"
)
_PLAIN = re.compile(r"[^`'A-Za-z_]+")
_QUOTE = re.compile("[`']")
_MACRO_LIKE = re.compile(r"_?[A-Z][A-Z0-9_]+\Z")
SECTIONS = (
    "LOCAL_CONFIG",
    "LOCAL_RULE_0",
    "LOCAL_RULE_1",
    "LOCAL_RULE_2",
    "LOCAL_RULE_3",
    "LOCAL_RULESETS",
    "LOCAL_UUCP",
    "LOCAL_NET_CONFIG",
    "LOCAL_DNSBL",
    "LOCAL_SRV_FEATURES",
    "LOCAL_CLT_FEATURES",
    "LOCAL_TRY_TLS",
    "LOCAL_TLS_RCPT",
    "LOCAL_TLS_CLIENT",
    "LOCAL_TLS_SERVER",
    "MAILER_DEFINITIONS",
)
"""Macros that stand without arguments: they begin a section."""

_NAMING = frozenset({"define", "undefine", "pushdef", "popdef"})
_AS_WRITTEN = frozenset({"ifdef", "ifelse", "VERSIONID"})

MAX_EXPANSIONS = 1000
"""Names replaced while one argument is read: a definition that names itself ends here."""

_FIRST_DEFINITIONS = {"MAIL_SETTINGS_DIR": "/etc/mail/"}


@dataclass(frozen=True, slots=True)
class Call:
    """A macro call. `arguments` are without their quotes; `is_commented`: a `#` is before it."""

    name: str
    arguments: tuple[str, ...]
    line: int
    is_commented: bool = False

    def argument(self, index: int) -> str:
        """An argument without blanks around it; empty if it is not there."""
        return self.arguments[index].strip() if index < len(self.arguments) else ""


@dataclass(frozen=True, slots=True)
class Text:
    """A line that goes into the .cf as it is."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that cannot be read: a quote without its end, a call that must be worked out."""

    text: str
    line: int


Item = Call | Text | Broken


def read_mc(text: str) -> list[Item]:
    """What the text of an .mc says, in its order. Never raises."""
    reader = _Reader(text.replace("\r\n", "\n"))
    reader.read()
    return reader.items


class _End(Exception):
    """The text ended inside of something."""


@dataclass(slots=True)
class _Reader:
    text: str
    position: int = 0
    items: list[Item] = field(default_factory=list)
    definitions: dict[str, str] = field(default_factory=_FIRST_DEFINITIONS.copy)
    _is_shown: bool = True
    _is_nested: bool = False
    _buffer: str = ""
    _buffer_line: int = 1
    _line_ends: list[int] = field(default_factory=list)

    def read(self) -> None:
        self._line_ends = [found.start() for found in re.finditer("\n", self.text)]
        while self.position < len(self.text):
            start = self.position
            try:
                self._step()
            except _End:
                what = "this quote or parenthesis is never closed"
                self.items.append(Broken(what, self._line(start)))
                break
        self._end_line()

    def _step(self) -> None:
        start = self.position
        char = self.text[start]
        if char == "`":
            self._write(self._quoted(), start)
        elif char == "\n":
            self._end_line()
            self.position += 1
        elif word := _WORD.match(self.text, start):
            self._word(word[0])
        else:
            self._write(char, start)
            self.position += 1

    def _word(self, word: str) -> None:
        start = self.position
        self.position += len(word)
        if word == "dnl":
            self._skip_line()
        elif self._is_call(word):
            self._call(word, start)
        elif word in self.definitions:
            self._write(self._expanded(self.definitions[word]), start)
        else:
            self._write(word, start)

    def _is_call(self, word: str) -> bool:
        return word in SECTIONS or _is_call(word, self.text, self.position)

    def _call(self, name: str, start: int) -> None:
        line = self._line(start)
        self._is_nested = False
        raw = self._arguments() if self.text.startswith("(", self.position) else ()
        arguments = tuple(self._meant(name, index, text) for index, text in enumerate(raw))
        if self._is_nested:
            what = f"{name}(...): the macro call inside its arguments is not worked out"
            self.items.append(Broken(what, line))
            return
        self._obey(name, raw)
        is_commented = self._buffer.lstrip().startswith("#")
        self.items.append(Call(name, arguments, line, is_commented))

    def _meant(self, name: str, index: int, text: str) -> str:
        """An argument as the macro uses it. Names of definitions and conditional texts stay."""
        is_name = name in _NAMING and not index
        return text if is_name or name in _AS_WRITTEN else self._expanded(text)

    def _obey(self, name: str, arguments: tuple[str, ...]) -> None:
        """What a call changes in the reading of the rest."""
        first = arguments[0] if arguments else ""
        if name in ("define", "pushdef"):
            self.definitions[first] = arguments[1] if len(arguments) > 1 else ""
        elif name in ("undefine", "popdef"):
            for argument in arguments:
                self.definitions.pop(argument, None)
        elif name == "divert":
            self._is_shown = not first.startswith("-")
        elif name in SECTIONS:
            self._is_shown = True

    def _arguments(self) -> tuple[str, ...]:
        """Those in the parentheses that begin here. Raises: _End."""
        self.position += 1
        arguments = []
        while True:
            self._skip_blanks()
            argument, closer = self._argument()
            arguments.append(argument)
            if closer == ")":
                return tuple(arguments)

    def _argument(self) -> tuple[str, str]:
        """One argument, a level of quotes taken off, and what ends it. Raises: _End."""
        pieces: list[str] = []
        depth = 0
        while self.position < len(self.text):
            char = self.text[self.position]
            if char == "`":
                pieces.append(self._quoted())
                continue
            if word := _WORD.match(self.text, self.position):
                self.position = word.end()
                if word[0] == "dnl":
                    self._skip_line()
                else:
                    self._is_nested |= _is_call(word[0], self.text, self.position)
                    pieces.append(self.definitions.get(word[0], word[0]))
                continue
            self.position += 1
            if not depth and char in ",)":
                return "".join(pieces), char
            depth += (char == "(") - (char == ")")
            pieces.append(char)
        raise _End

    def _quoted(self) -> str:
        """The text between the quotes that begin here, inner ones left. Raises: _End."""
        start, end = self.position, _end_of_quote(self.text, self.position)
        if not end:
            raise _End
        self.position = end
        return self.text[start + 1 : end - 1]

    def _expanded(self, text: str) -> str:
        """`text` as m4 gives it when it reads it again: quotes off, own definitions replaced."""
        pieces: list[str] = []
        left = MAX_EXPANSIONS
        position = 0
        while position < len(text):
            if text[position] == "`" and (end := _end_of_quote(text, position)):
                pieces.append(text[position + 1 : end - 1])
                position = end
            elif word := _WORD.match(text, position):
                position = word.end()
                self._is_nested |= _is_call(word[0], text, position)
                if word[0] in self.definitions and left:
                    left -= 1
                    text, position = self.definitions[word[0]] + text[position:], 0
                else:
                    pieces.append(word[0])
            else:
                plain = _PLAIN.match(text, position)
                pieces.append(plain[0] if plain else text[position])
                position += len(pieces[-1])
        return "".join(pieces)

    def _write(self, text: str, start: int) -> None:
        if not self._buffer:
            self._buffer_line = self._line(start)
        self._buffer += text

    def _end_line(self) -> None:
        if self._is_shown:
            for number, text in enumerate(self._buffer.split("\n"), start=self._buffer_line):
                if text.strip():
                    self.items.append(Text(text.rstrip(), number))
        self._buffer = ""

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.position)
        self.position = len(self.text) if end < 0 else end + 1

    def _skip_blanks(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def _line(self, position: int) -> int:
        return bisect.bisect_left(self._line_ends, position) + 1


def _is_call(word: str, text: str, end: int) -> bool:
    """Whether `word`, which ends at `end` in `text`, is a macro with arguments."""
    return text.startswith("(", end) and bool(_BUILTIN.match(word) or _MACRO_LIKE.match(word))


def _end_of_quote(text: str, start: int) -> int:
    """Where the quote ends that begins at `start`; 0 if it does not."""
    depth = 0
    for found in _QUOTE.finditer(text, start):
        depth += 1 if found[0] == "`" else -1
        if not depth:
            return found.end()
    return 0
