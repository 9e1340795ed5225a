"""What can be set about g, G and v, under the names of Taylor's `protocol-parameter`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relaynode.uucp.lines.g_packet import FIELD_SIZES, HEADER_BYTES, MAX_WINDOW
from relaynode.uucp.lines.parameters import SECONDS_LIMITS, Number, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_IN_FLIGHT_BYTES = 16 * 1024 - 1
"""Never more than this between the two sides, in either direction: Taylor 1.07 overruns its buffer
with more and stores what is left of it, without a word."""

_MAX_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True)
class Parameters:
    """How one call is to be run. Times in seconds, sizes in bytes of content.

    `packet_size`: what we ask the peer to send; 0: it depends on the round trip.
    `remote_window`, `remote_packet_size`: what we send; 0: what the peer asks for.
    `short_packets`: whether a packet may be smaller than asked for, or not quite full, but at the
    end of a command or a file.
    `garbage`: how many bytes may be skipped from one good packet to the next.
    `errors`: how many of them end the call, one being forgiven for each `error_decay` good packets.
    """

    window: int = MAX_WINDOW
    packet_size: int = 0
    startup_retries: int = 8
    init_retries: int = 4
    init_timeout: int = 10
    retries: int = 6
    timeout: int = 10
    garbage: int = 10000
    errors: int = 100
    error_decay: int = 10
    remote_window: int = 0
    remote_packet_size: int = 0
    short_packets: bool = True

    def window_for(self, size_bytes: int) -> int:
        """How many packets of that size we let the peer have under way."""
        return safe_window(self.window, size_bytes)


DEFAULTS = {
    "g": Parameters(),
    # SVR4's: each packet is of exactly the size that was asked for, however little is in it. A
    # mail is a command, a piece that does not fill its packet and an empty one: large ones waste.
    "G": Parameters(packet_size=256, short_packets=False),
    "v": Parameters(packet_size=1024),
}


def safe_window(window: int, size_bytes: int) -> int:
    """The largest window up to `window` that keeps within MAX_IN_FLIGHT_BYTES."""
    return min(window, MAX_IN_FLIGHT_BYTES // (size_bytes + HEADER_BYTES))


def read_parameters(letter: str, given: Mapping[str, str]) -> Parameters:
    """The defaults of a protocol, changed by what the user has set.

    Raises: ValueError, with what would be right.
    """
    names = (*_NUMBERS, _SHORT_PACKETS)
    for name in given:
        if name not in names:
            raise ValueError(f"protocol {letter} has no parameter {name}: {', '.join(names)}")
    defaults = DEFAULTS[letter]
    changed: dict[str, Any] = {}
    texts = {name: text for name, text in given.items() if name in _NUMBERS}
    for name, value in numbers(letter, texts, {name: _NUMBERS[name] for name in texts}).items():
        if name in _SIZES and value not in _SIZES[name]:
            sizes = ", ".join(map(str, _SIZES[name]))
            raise ValueError(f"protocol {letter}: {name} is one of {sizes}, not {value}")
        changed[name.replace("-", "_")] = value
    if _SHORT_PACKETS in given:
        changed["short_packets"] = _truth(letter, given[_SHORT_PACKETS])
    return replace(defaults, **changed)


def _truth(letter: str, text: str) -> bool:
    """Taylor's: the first letter counts."""
    first = text[:1].lower()
    if not first or first not in "ytnf":
        raise ValueError(f"protocol {letter}: {_SHORT_PACKETS} is yes or no, not {text!r}")
    return first in "yt"


_SHORT_PACKETS = "short-packets"

_SIZES = {"packet-size": FIELD_SIZES, "remote-packet-size": (0, *FIELD_SIZES)}


def _number(name: str, lowest: int, highest: int) -> Number:
    return Number(getattr(Parameters(), name.replace("-", "_")), lowest, highest)


_NUMBERS = {
    name: _number(name, lowest, highest)
    for name, lowest, highest in (
        ("window", 1, MAX_WINDOW),
        ("packet-size", FIELD_SIZES[0], FIELD_SIZES[-1]),
        ("startup-retries", 1, _MAX_NUMBER),
        ("init-retries", 1, _MAX_NUMBER),
        ("init-timeout", *SECONDS_LIMITS),
        ("retries", 1, _MAX_NUMBER),
        ("timeout", *SECONDS_LIMITS),
        ("garbage", 1, _MAX_NUMBER),
        ("errors", 1, _MAX_NUMBER),
        ("error-decay", 0, _MAX_NUMBER),
        ("remote-window", 0, MAX_WINDOW),
        ("remote-packet-size", 0, FIELD_SIZES[-1]),
    )
}
