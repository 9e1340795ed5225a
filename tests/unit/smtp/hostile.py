"""Hostile dialogues as text: many in a file, each from a state that its first line names.

== What is tried, as a sentence
P: RCPT                 the phase (smtp.phases.Phase) that the session has come to before
T: is_strict            terms (smtp.terms.Terms) that are on
C: as in talk.py; {x*3000} stands for 3000 times x
S: 501                  how an answer begins; a line for each line of the answers
X:                      the session is over
M: as in talk.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from relaynode.smtp.phases import Phase
from unit.smtp.talk import Message, message_of, wire_form

FOLDER = Path(__file__).parent / "dialogues" / "hostile"
_REPEATED = re.compile(r"\{([^{}*]+)\*([0-9]+)\}")


@dataclass
class Exchange:
    """What the client sends, and how the lines begin that it is answered."""

    sent: bytes = b""
    said: list[str] = field(default_factory=list)


@dataclass
class Hostile:
    """One dialogue. `place`: file and sentence."""

    place: str
    phase: Phase = Phase.READY
    terms: frozenset[str] = frozenset()
    exchanges: list[Exchange] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    is_closed: bool = False


def read_all() -> list[Hostile]:
    """All dialogues of the folder."""
    return [one for path in sorted(FOLDER.glob("*.txt")) for one in _read(path)]


def _read(path: Path) -> list[Hostile]:
    found: list[Hostile] = []
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        kind, text = line[:2], _REPEATED.sub(lambda m: m[1] * int(m[2]), line[3:])
        if kind == "==":
            found.append(Hostile(f"{path.stem}: {text}"))
        else:
            _add(found[-1], kind, text)
    return found


def _add(one: Hostile, kind: str, text: str) -> None:
    match kind:
        case "P:":
            one.phase = Phase[text]
        case "T:":
            one.terms = frozenset(text.split())
        case "C:":
            if not one.exchanges or one.exchanges[-1].said:
                one.exchanges.append(Exchange())
            one.exchanges[-1].sent += wire_form(text)
        case "S:":
            one.exchanges[-1].said.append(text)
        case "X:":
            one.is_closed = True
        case "M:":
            one.messages.append(message_of(text))
        case _:
            raise AssertionError(f"{one.place}: {kind}")


def begins_as(said: bytes, expected: list[str]) -> bool:
    """Are these the answers that a dialogue wants?"""
    lines = said.decode("utf-8", "replace").splitlines()
    pairs = zip(lines, expected, strict=False)
    return len(lines) == len(expected) and all(line.startswith(e) for line, e in pairs)
