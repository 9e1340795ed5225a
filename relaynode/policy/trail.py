"""The trail of a decision: each look-up and what it gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One look-up. `place` is "file:line" where a table entry was hit, else ""."""

    question: str
    answer: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.question}: {self.answer}" + (f" ({self.place})" if self.place else "")
