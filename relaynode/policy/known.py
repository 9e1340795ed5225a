"""What was worked out lately: the same people write again and again, mostly to the same ones."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Known(dict[K, V]):
    """Answers by question, at most so many: then it begins anew, for what is asked often comes back
    at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def note(self, question: K, answer: V) -> V:
        """Keep an answer in mind, and give it."""
        if len(self) >= self._most:
            self.clear()
        self[question] = answer
        return answer
