"""The right-hand sides of an access table: a word that decides, or a refusal with its reply.

    OK  RELAY  REJECT  DISCARD  SKIP  FRIEND  HATER
    QUARANTINE:text
    ERROR:5.7.1:550 text     ERROR:"450 4.7.1 text"     550 text

Anything else is the text of a refusal too: sendmail takes it so. Text outside quotes is put
together from its words: blanks around punctuation, comments in ( ) and quotes are lost. This is
sendmail's way, and why a longer text belongs in quotes. cf/README, section "Access".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from relaynode.tables.keyed import fill

_KEYWORD = re.compile(r"[ \t]*(error|quarantine)[ \t]*:(.*)\Z", re.IGNORECASE | re.DOTALL)
_ENHANCED = re.compile(r"[ \t]*([245]\.[0-9]{1,3}\.[0-9]{1,3})[ \t]*:(.*)\Z", re.DOTALL)
_REPLY = re.compile(r"([45][0-9][0-9]) +(?:([245]\.[0-9]{1,3}\.[0-9]{1,3}) +)?(.*)\Z", re.DOTALL)
_PIECE = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)(?:"|\Z)'
    r"|(?P<alone>[.:%@!^/\[\]+<>,;)(])"
    r'|(?P<word>(?:\\.|[^ \t".:%@!^/\[\]+<>,;()])+)',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Action(StrEnum):
    """What an entry decides. ERROR stands for every refusal that brings its own reply."""

    OK = "OK"
    RELAY = "RELAY"
    REJECT = "REJECT"
    DISCARD = "DISCARD"
    SKIP = "SKIP"
    FRIEND = "FRIEND"
    HATER = "HATER"
    QUARANTINE = "QUARANTINE"
    ERROR = "ERROR"


_WORDS = {action.value: action for action in Action if action not in ("QUARANTINE", "ERROR")}


@dataclass(frozen=True, slots=True)
class Value:
    """One right-hand side.

    `text`: of QUARANTINE the reason, of ERROR the reply's text, else the word as it was written.
    `code`, `enhanced`: the reply where the value refuses; a word refuses where it has no meaning
    (FRIEND outside Spam:).
    """

    action: Action
    text: str
    code: int = 553
    enhanced: str = "5.3.0"


def parse_value(text: str) -> Value:
    """The meaning of a right-hand side; every text has one."""
    text = fill(text, ())
    said = spoken(text)
    if said.upper() in _WORDS:
        return Value(_WORDS[said.upper()], said)
    keyword = _KEYWORD.match(text)
    rest = spoken(keyword[2]) if keyword else ""
    if keyword is None or not rest:
        return _refusal(said, "")
    if keyword[1].upper() == Action.QUARANTINE:
        return Value(Action.QUARANTINE, rest)
    enhanced = _ENHANCED.match(keyword[2])
    if enhanced and spoken(enhanced[2]):
        return _refusal(spoken(enhanced[2]), enhanced[1])
    return _refusal(rest, "")


def format_value(value: Value) -> str:
    """A right-hand side that `parse_value` reads as `value`."""
    if value.action is Action.ERROR:
        inner = _escaped(f"{value.code} {value.enhanced} {value.text}")
        return f'ERROR:"{inner}"'
    if value.action is Action.QUARANTINE:
        return f'QUARANTINE:"{_escaped(value.text)}"'
    return value.text


def value_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a right-hand side and what to write, or None."""
    value = parse_value(text)
    if _KEYWORD.match(text) and not spoken(text.partition(":")[2]):
        return "has no text behind its colon", f'write {text.strip()}"550 No"'
    if value.action is not Action.ERROR or _reply_in(text):
        return None
    words = ", ".join([*_WORDS, 'QUARANTINE:text, ERROR:"550 text" or 550 text'])
    return "is no word of an access table, and no reply of code 4yz or 5yz", f"write {words}"


def spoken(text: str) -> str:
    """A text as it is said: words, with one blank between two that follow each other."""
    pieces: list[str] = []
    after_word = False
    depth = 0
    for found in _PIECE.finditer(text):
        alone = found["alone"]
        if alone == "(" or (alone == ")" and depth):
            depth += 1 if alone == "(" else -1
        elif depth or alone == ")":
            continue
        elif found["word"] is not None:
            pieces.append((" " if after_word else "") + _ESCAPE.sub(r"\1", found["word"]))
            after_word = True
        else:
            pieces.append(alone or _ESCAPE.sub(r"\1", found["quoted"]))
            after_word = False
    return _CONTROL.sub(" ", "".join(pieces)).strip(" ")


def _refusal(said: str, enhanced: str) -> Value:
    """A reply made of a text that should begin with a code; a code in the text wins."""
    found = _REPLY.match(said)
    if found is None or not found[3].strip(" "):
        return Value(Action.ERROR, said or "Access denied")
    code = int(found[1])
    return Value(
        Action.ERROR, found[3].strip(" "), code, found[2] or enhanced or f"{code // 100}.0.0"
    )


def _reply_in(text: str) -> bool:
    keyword = _KEYWORD.match(text)
    rest = keyword[2] if keyword else text
    enhanced = _ENHANCED.match(rest)
    return _REPLY.match(spoken(enhanced[2] if enhanced else rest)) is not None


def _escaped(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text).replace("%", "%%")
