"""The checksum of f (over a file) and y (over a packet): 16 bits, turned and added to."""

from __future__ import annotations

EMPTY_SUM = 0xFFFF


def sum16(content: bytes, so_far: int = EMPTY_SUM) -> int:
    """The checksum of `content`, or of all content so far: it can be taken piece by piece."""
    total = so_far
    for byte in content:
        total = (((total << 1) & 0xFFFF) + (total >> 15) + byte) & 0xFFFF
    return total
