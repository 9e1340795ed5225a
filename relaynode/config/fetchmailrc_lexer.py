"""Cuts a .fetchmailrc into tokens, as fetchmail 6.4 does.

Blanks, line ends, noise characters (`, : ;`) and noise words (`and`, `with`, ...) part tokens and
mean nothing else. Of what could match at a place the longest does, and a keyword is one only as a
whole bare word. After the words in `_NAMED_NEXT` any word is a name, were it a keyword.

Seen in fetchmail and kept, since files live by it:

- `a#b` is a word: a comment starts where a token could. One without a line end behind is a word.
- a quote that is not closed, or has more than a delimiter behind it, belongs to a bare word.
- escapes work in bare words too: `\\n`, `\\t`, `\\r`, `\\b`, `\\xhh`, `\\0oo` in octal, but other
  digits in decimal (`\\65` is A); a NUL ends the string.
- a line end within quotes is not counted in the line numbers of errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from relaynode.config.fetchmailrc_words import GLUED, NOISE_WORDS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class Kind(Enum):
    """What a token is to the grammar."""

    WORD = "word"
    STRING = "string"
    NUMBER = "number"
    MAPS = "="
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` as it is written, `value` without quotes and escapes, `line` from 1."""

    kind: Kind
    text: str
    value: str
    line: int

    def is_word(self, *words: str) -> bool:
        """Is it one of these keywords?"""
        return self.kind is Kind.WORD and self.value in words

    def is_one_of(self, marks: Collection[str]) -> bool:
        """Is it one of these keywords, or the sign among them?"""
        return self.kind in (Kind.WORD, Kind.MAPS) and self.value in marks


_NAMED_NEXT = frozenset({"user", "username", "pass", "password", "is", "to", "="})
_AUTH = frozenset({"auth", "authenticate", "preauth"})
_SPACE = re.compile(r"[,:; \t\r]+")
_LINE_END = re.compile(r"(?:#[^\n]*)?\\?\n")
_BARE = re.compile(r"[^=;:, \t\r\n]+")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NUMBER = re.compile(r"-?[0-9]+")
_ESCAPE = re.compile(
    r"\\(?:(?P<octal>0[0-7]{0,2})|(?P<decimal>[1-9][0-9]{0,2})|[xX](?P<hex>[0-9A-Fa-f]{0,2})"
    r"|(?P<other>.|\n)|$)"
)
_NAMED_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "\n": ""}


def tokens(text: str) -> Iterator[Token]:
    """All tokens, and END as the last. What is no token to the grammar comes as a string."""
    position, line, is_name_next = 0, 1, False
    before = Token(Kind.END, "", "", 1)
    while position < len(text):
        if found := _LINE_END.match(text, position):
            position, line = found.end(), line + 1
        elif found := _SPACE.match(text, position):
            position = found.end()
        else:
            token, position = _token(text, position, line, is_name_next)
            if token is not None:
                yield token
                # `auth password` names a way to log in, and no password.
                is_name_next = token.is_one_of(_NAMED_NEXT) and not before.is_one_of(_AUTH)
                before = token
    yield Token(Kind.END, "", "", line)


def _token(text: str, start: int, line: int, is_name: bool) -> tuple[Token | None, int]:
    """The token at `start`, None for a noise word, and where the next may be."""
    if text[start] == "=":
        return Token(Kind.MAPS, "=", "=", line), start + 1
    bare, quoted = _BARE.match(text, start), _QUOTED.match(text, start)
    assert bare is not None  # what cannot start a bare word has been passed over
    if quoted is not None and quoted.end() >= bare.end():
        return Token(Kind.STRING, quoted[0], unescaped(quoted[0][1:-1]), line), quoted.end()
    word = bare[0]
    if is_name:
        return Token(Kind.STRING, word, unescaped(word), line), bare.end()
    if _NUMBER.fullmatch(word):
        return Token(Kind.NUMBER, word, word, line), bare.end()
    if word in GLUED:  # `nokeep` is `no keep`
        return Token(Kind.WORD, "no", "no", line), start + 2
    if word in NOISE_WORDS:
        return None, bare.end()
    if word in RESERVED:
        return Token(Kind.WORD, word, word, line), bare.end()
    return Token(Kind.STRING, word, unescaped(word), line), bare.end()


def unescaped(text: str) -> str:
    """A string with its escapes replaced."""
    if "\\" not in text:
        return text.partition("\0")[0]
    return _ESCAPE.sub(_escaped, text).partition("\0")[0]


def _escaped(found: re.Match[str]) -> str:
    if found["octal"] is not None:
        return chr(int(found["octal"], 8))
    if found["decimal"] is not None:
        return chr(int(found["decimal"]) & 0xFF)
    if found["hex"] is not None:
        return chr(int(found["hex"] or "0", 16))
    other = found["other"] or ""
    return _NAMED_ESCAPES.get(other, other)
