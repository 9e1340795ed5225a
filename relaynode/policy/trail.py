"""The trail of a decision: each look-up and what it gave, and the rules it went through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from relaynode.policy.tokens import Tokens
    from relaynode.tables.keyed import Entry


@dataclass(frozen=True, slots=True)
class Step:
    """One look-up. `place` is "file:line" where a table entry was hit, else ""."""

    question: str
    answer: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.question}: {self.answer}" + (f" ({self.place})" if self.place else "")


class Passage(NamedTuple):
    """An address going into a ruleset or coming out of it, as sendmail's test mode shows it."""

    ruleset: str
    is_return: bool
    tokens: Tokens


@dataclass(slots=True)
class Trail:
    """Collects steps and passages while a decision is made."""

    steps: list[Step] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)

    def note(self, question: str, answer: str, place: str = "") -> None:
        """One step."""
        self.steps.append(Step(question, answer, place))

    def look_up(self, table: str, file: str, key: str, entry: Entry | None) -> None:
        """A look-up in a table: what the entry says and where it stands, or that there is none."""
        if entry is None:
            self.note(f"{table} {key}", "no entry")
        else:
            self.note(f"{table} {key}", entry.value, f"{file}:{entry.line}")

    def enter(self, ruleset: str, tokens: Tokens) -> None:
        """An address goes into a ruleset."""
        self.passages.append(Passage(ruleset, False, tokens))

    def leave(self, ruleset: str, tokens: Tokens) -> None:
        """An address comes out of a ruleset."""
        self.passages.append(Passage(ruleset, True, tokens))
