"""Protocol j: protocol i for lines that eat certain bytes, such as XON and XOFF.

    start   list of bytes to avoid <-> the same      the union of both is avoided
    then    protocol i, each packet wrapped (j_packet)

A list that was damaged is said again after the time-out for SYNC. A peer that has ours and goes on
without our having its own hears ours again, and so says its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.errors import LineLost
from relaynode.uucp.lines.i import LineI
from relaynode.uucp.lines.i_packet import packet_bytes
from relaynode.uucp.lines.i_parameters import read_parameters
from relaynode.uucp.lines.j_packet import (
    MAX_LIST_BYTES,
    MAX_SENT_BYTES,
    Unwrapper,
    Wrapper,
    encode_list,
    find_list,
    is_avoidable,
)

if TYPE_CHECKING:
    from relaynode.uucp.line import Event, Settings

DEFAULT_AVOIDED = r"\021\023"

MAX_CONTENT_BYTES = MAX_SENT_BYTES - packet_bytes(1) + 1
"""The longest content of a packet of i that can be wrapped."""

_ESCAPES = re.compile(r"(?:\\[0-7]{3})*")


class LineJ(LineI):
    """Protocol j."""

    letter = "j"

    def __init__(self, settings: Settings) -> None:
        given = dict(settings.parameters)
        self._avoided = read_avoided(given.pop("avoid", DEFAULT_AVOIDED))
        parameters = read_parameters(self.letter, given)
        self._begin(settings.is_caller, parameters.limited_to(MAX_CONTENT_BYTES))
        self._unwrapper = Unwrapper()
        self._wrapper: Wrapper | None = None
        """None until the peer's list is here."""
        self._arrived = b""
        """What came before that."""
        self._said = b""
        self._lists_said = 0
        self._list_at: float | None = None

    # --- the lists

    def start(self, now: float) -> None:
        """Say what is to be avoided."""
        self._say_list(now)

    def _say_list(self, now: float) -> None:
        self._said += encode_list(self._avoided)
        self._lists_said += 1
        self._list_at = now + self._parameters.sync_timeout

    @property
    def _has_lists_left(self) -> bool:
        return self._lists_said <= self._parameters.sync_retries

    def _take_list(self, data: bytes, now: float) -> bytes:
        """Look for the peer's list; what stands behind it."""
        self._arrived = self._arrived + data
        found = find_list(self._arrived)
        if found is None:
            self._arrived = self._arrived[-MAX_LIST_BYTES:]
            return b""
        avoided, end = found
        rest, self._arrived = self._arrived[end:], b""
        self._wrapper = Wrapper({*self._avoided, *avoided})
        super().start(now)
        return rest

    def _hear_list_again(self, data: bytes, now: float) -> None:
        """The peer says it again as long as it does not have ours."""
        if not self._peer_is_open and self._has_lists_left and find_list(data) is not None:
            self._say_list(now)

    # --- bytes

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what came. Raises: RemoteProtocolError, LineLost."""
        if self._wrapper is None:
            data = self._take_list(data, now)
        else:
            self._hear_list_again(data, now)
        if self._wrapper is None:
            return self._take_events()
        return super().receive(self._unwrapper.feed(data, now), now)

    def data_to_send(self) -> bytes:
        """Take all bytes for the peer."""
        said, self._said = self._said, b""
        if self._wrapper is None:
            return said
        return said + b"".join(self._wrapper.wrap(packet) for packet in self.packets_to_send())

    # --- time

    def tick(self, now: float) -> list[Event]:
        """Say the list again, or what i does. Raises: LineLost."""
        if not self._is_waiting_for_list:
            return super().tick(now)
        if self._list_at is not None and now >= self._list_at:
            if not self._has_lists_left:
                raise LineLost("protocol j: the peer does not begin")
            self._say_list(now)
        return self._take_events()

    @property
    def wake_at(self) -> float | None:
        """When the list is to be said again, or what i says."""
        return self._list_at if self._is_waiting_for_list else super().wake_at

    @property
    def _is_waiting_for_list(self) -> bool:
        return self._wrapper is None and self.is_waiting


def read_avoided(text: str) -> tuple[int, ...]:
    r"""The bytes in a parameter such as `\021\023`. Raises: ValueError."""
    if not _ESCAPES.fullmatch(text):
        raise ValueError(f"protocol j: avoid is bytes as \\ooo, three octal digits, not {text!r}")
    avoided = tuple(int(octal, 8) for octal in text.split("\\")[1:])
    unfit = sorted(byte for byte in avoided if not is_avoidable(byte))
    if unfit:
        raise ValueError(f"protocol j: printable bytes cannot be avoided: \\{unfit[0]:03o}")
    return avoided
