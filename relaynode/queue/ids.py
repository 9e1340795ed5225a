"""Queue ids: short, unique over processes and restarts, sorting by time, safe in any file name."""

from __future__ import annotations

import os
import time

_DIGITS = "0123456789ABCDEFGHJKLMNPQRSTVWXYZ"  # no I, O, U: read aloud over radio
_TIME_DIGITS = 11  # 33**11 microseconds are 160,000 years
_RANDOM_DIGITS = 3  # two ids of one microsecond differ but for one chance in 35,937


def _base33(number: int, width: int) -> str:
    text = ""
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text


def once_id(queue_id: str, hostname: str) -> str:
    """What a message of ours is called towards the next hop, in all of its tries.

    Unique in the world, as far as host names are: a queue id is for one node, and begins with the
    microsecond that it was made in.
    """
    return f"{queue_id}@{hostname}"


def new_queue_id() -> str:
    """A new id of 14 upper-case letters and digits."""
    moment = _base33(time.time_ns() // 1000, _TIME_DIGITS)
    chance = _base33(int.from_bytes(os.urandom(4), "big"), _RANDOM_DIGITS)
    return moment + chance
