"""Queue ids: short, unique over processes and restarts, sorting by time, safe in any file name."""

from __future__ import annotations

import random
import time

_DIGITS = "0123456789ABCDEFGHJKLMNPQRSTVWXYZ"  # no I, O, U: read aloud over radio
_TIME_DIGITS = 11  # 33**11 microseconds are 160,000 years
_RANDOM_DIGITS = 3  # two ids of one microsecond differ but for one chance in 35,937
_CHANCES = len(_DIGITS) ** _RANDOM_DIGITS
_PAIRS = tuple(first + second for first in _DIGITS for second in _DIGITS)


def once_id(queue_id: str, hostname: str) -> str:
    """What a message of ours is called towards the next hop, in all of its tries.

    Unique in the world, as far as host names are: a queue id is for one node, and begins with the
    microsecond that it was made in.
    """
    return f"{queue_id}@{hostname}"


def new_queue_id() -> str:
    """A new id of 14 upper-case letters and digits."""
    # The generator is seeded by the system at the start, and again in each child.
    number = time.time_ns() // 1000 * _CHANCES + random.getrandbits(32) % _CHANCES
    pairs = []
    for _ in range((_TIME_DIGITS + _RANDOM_DIGITS) // 2):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))
