"""Addresses as sendmail sees them: a row of tokens.

    joe+x@mail.example.org   joe + x @ mail . example . org
    "j. d."(John)@here       "j. d." @ here

Operators stand alone, a quoted string is one token, blanks end a token, comments are left out. The
rules of routing and rewriting look at tokens, so that `a.b` never passes for one name and a quoted
`@` never divides an address. Sendmail Installation and Operation Guide, section 5.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

Tokens: TypeAlias = tuple[str, ...]

OPERATORS = frozenset(".:%@!^/[]+")
"""sendmail's OperatorChars, as every configuration made from its m4 files has them."""

DELIMITERS = frozenset("()<>,;")

_ALONE = OPERATORS | DELIMITERS
_BLANKS = frozenset(" \t\r\n")

MAX_ADDRESS_CHARS = 1024
"""A text that is longer is no address (sendmail's MAXNAME); RFC 5321 has room for 254."""

BLANK_SUBSTITUTE = "."
"""What stands for the blank between two words of an unquoted name (sendmail's BlankSub)."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The tokens of a text, and what was wrong with it ("Unbalanced '\\"'"): it was mended."""

    tokens: Tokens
    complaints: tuple[str, ...] = ()


_PLAIN = re.compile(r"[.:%@!^/\[\]+,;]|[^.:%@!^/\[\]+,; \t\r\n]+")
_NOT_PLAIN = re.compile(r'["\\()<>]')


def scan(text: str) -> Scanned:
    """The tokens of `text`. A quote, bracket or parenthesis left open is closed at the end."""
    if _NOT_PLAIN.search(text) is None:  # nearly all addresses
        return Scanned(tuple(_PLAIN.findall(text)))
    scanner = _Scanner(text)
    scanner.run()
    return Scanned(tuple(scanner.tokens), tuple(scanner.complaints))


def tokenise(text: str) -> Tokens:
    """The tokens of `text`, mended where it was wrong."""
    return scan(text).tokens


def join(tokens: Tokens, blank: str = BLANK_SUBSTITUTE) -> str:
    """The text of tokens: words that follow each other get a `blank` in between."""
    pieces: list[str] = []
    after_word = False
    for token in tokens:
        is_word = token[:1] not in _ALONE and not token.startswith('"')
        if is_word and after_word:
            pieces.append(blank)
        pieces.append(token)
        after_word = is_word
    return "".join(pieces)


def key_of(tokens: Tokens) -> str:
    """The text of tokens as it is looked up in a table: without quotes and escapes."""
    return re.sub(r'\\(.)|"', r"\1", join(tokens, ""), flags=re.DOTALL)


def show(tokens: Tokens) -> str:
    """Tokens as the address test mode prints them."""
    return " ".join(tokens)


def dequote(token: str) -> str:
    """A token without its quotes, where it can do without: not if blanks or brackets need them."""
    if '"' not in token:
        return token
    pieces: list[str] = []
    angles = parentheses = 0
    position = 0
    is_quoted = False
    while position < len(token):
        char = token[position]
        position += 1
        if char == '"':
            is_quoted = not is_quoted
            continue
        if char in _BLANKS and is_quoted:
            return token
        if char == "\\":
            pieces.append(char)
            char = token[position : position + 1]
            position += 1
        elif char in "()":
            parentheses += 1 if char == "(" else -1
        elif char in "<>":
            angles += 1 if char == "<" else -1
        pieces.append(char)
        if min(angles, parentheses) < 0:
            return token
    return "".join(pieces) if not (angles or parentheses) else token


class _Scanner:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.tokens: list[str] = []
        self.complaints: list[str] = []
        self._word = ""
        self._parentheses = 0
        self._angles = 0

    def run(self) -> None:
        position = 0
        while position < len(self._text):
            position = self._step(position)
        self._end_word()
        for count, char in ((self._parentheses, "("), (self._angles, "<")):
            if count > 0:
                self._complain(char)
        if self._angles > 0:
            self.tokens += ">" * self._angles

    def _step(self, position: int) -> int:
        """Take what begins at `position`; where the next begins."""
        char = self._text[position]
        if char == "\\" and position + 1 < len(self._text):
            # \! is a plain bang: people quote it for their shell.
            if self._parentheses == 0 and self._text[position + 1] != "!":
                self._word += self._text[position : position + 2]
                return position + 2
            return position + (2 if self._parentheses else 1)
        if char == '"' and not self._parentheses:
            return self._quoted(position)
        self._plain(char)
        return position + 1

    def _quoted(self, start: int) -> int:
        self._end_word()
        end = start + 1
        while end < len(self._text) and self._text[end] != '"':
            end += 2 if self._text[end] == "\\" else 1
        text = self._text[start : end + 1]
        if end >= len(self._text):
            self._complain('"')
            text += '"'
        self.tokens.append(text)
        return end + 1

    def _plain(self, char: str) -> None:
        if char == "(":
            self._parentheses += 1
        elif char == ")":
            if self._parentheses:
                self._parentheses -= 1
            else:
                self._complain(char)
        elif self._parentheses:
            return
        elif char in _BLANKS:
            self._end_word()
        elif char == ">" and self._angles == 0:
            self._complain(char)
        elif char in _ALONE:
            self._angles += {"<": 1, ">": -1}.get(char, 0)
            self._end_word()
            self.tokens.append(char)
        else:
            self._word += char

    def _end_word(self) -> None:
        if self._word:
            self.tokens.append(self._word)
            self._word = ""

    def _complain(self, char: str) -> None:
        self.complaints.append(f"Unbalanced '{char}'")
