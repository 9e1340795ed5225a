"""A mistake in the configuration, as the checks of its parts find it."""

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    """Something wrong, at a key of the file."""

    path: tuple[str, ...]
    text: str
    remedy: str = ""
