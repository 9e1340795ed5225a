"""INPUT_MAIL_FILTER(`name', `S=socket, F=flag, T=times') of an .mc, as a [milter.NAME].

What sendmail takes where nothing is written is written out, as it is not what is taken here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.config.milter_values import MilterSocket

if TYPE_CHECKING:
    from relaynode.config.imported import Gathering
    from relaynode.config.mc_reader import Call

_ACTIONS = {"": "accept", "T": "tempfail", "R": "reject", "4": "tempfail"}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"([CSRE]):(\d{1,6})([smhd]?)\Z")
_KEYS = {
    "C": ("connect_timeout_seconds", 300),
    "R": ("command_timeout_seconds", 10),
    "E": ("content_timeout_seconds", 300),
}
"""Of sendmail's times, with what it takes for each. S, for one write, is counted in R here."""


def take_filter(out: Gathering, call: Call) -> None:
    """Settings of one filter, or a note of what is not understood."""
    name, origin = call.argument(0), f"{call.name}({call.argument(0)})"
    equates = {
        key.strip().upper(): value.strip()
        for key, _, value in (part.partition("=") for part in call.argument(1).split(","))
    }
    times = _times(equates.get("T", ""))
    action = _ACTIONS.get(equates.get("F", ""))
    try:
        socket = MilterSocket.parse(equates.get("S", ""))
    except ValueError as error:
        out.not_understood(call.line, f"{origin}: {error}")
        return
    if times is None or action is None:
        out.not_understood(call.line, f"{origin}: {call.argument(1)}: not understood")
        return
    section = f"milter.{re.sub(r'[^A-Za-z0-9_-]+', '-', name) or 'filter'}"
    out.set(section, "socket", str(socket), origin)
    out.set(section, "default_action", action, f"F={equates.get('F', '')}")
    for letter, (key, usual) in _KEYS.items():
        out.set(section, key, max(times.get(letter, usual), 1), f"T={letter}")


def _times(text: str) -> dict[str, int] | None:
    """Seconds by letter; None if it is not understood."""
    found = [_TIME.match(part.strip()) for part in text.split(";") if part.strip()]
    if not all(found):
        return None
    return {one[1]: int(one[2]) * _UNITS[one[3]] for one in found if one is not None}
