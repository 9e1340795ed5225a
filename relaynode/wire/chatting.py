"""A chat script on a stream: the driver of `uucp/chat.py`, for modems and logins on any line."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from relaynode.errors import ConnectFailed, LineLost, TimedOut
from relaynode.uucp.chat import Chat, ChatError, ChatSettings
from relaynode.uucp.events import BreakWanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relaynode.config.uucp_values import ChatScript
    from relaynode.uucp.events import CarrierWanted
    from relaynode.wire.stream import Stream


class LineSignals(Protocol):
    """What a line can do beside carrying bytes."""

    async def send_break(self) -> None:
        """Send a break. Raises: LineLost."""
        ...

    async def want_carrier(self, is_wanted: bool) -> None:
        r"""\m and \M: from now on the carrier must be there, or need not. Raises: WireError."""
        ...


class NoSignals:
    """Of a line that is no tty: both mean nothing, as with Taylor."""

    async def send_break(self) -> None:
        """See LineSignals."""

    async def want_carrier(self, is_wanted: bool) -> None:
        """See LineSignals."""


async def run_chat(
    stream: Stream,
    script: ChatScript,
    values: Mapping[str, bytes],
    *,
    signals: LineSignals | None = None,
    arrived: bytes = b"",
) -> bytes:
    """Say it, and hear what is expected; what came behind that is returned.

    `values`: what the letters of escapes stand for. `arrived`: what was read before.
    Raises: ConnectFailed with the reason, in which there are no secrets; WireError.
    """
    settings = ChatSettings(
        script.words, values, script.timeout_seconds, script.fails, script.is_seven_bit
    )
    try:
        chat = Chat(settings, time.monotonic())
    except ChatError as error:
        raise ConnectFailed(f"{stream.peer}: chat script: {error}") from error
    await _drive(stream, chat, signals or NoSignals(), arrived)
    assert chat.result is not None
    if not chat.result.is_success:
        raise ConnectFailed(f"{stream.peer}: {chat.result.reason}")
    return chat.rest


async def _drive(stream: Stream, chat: Chat, signals: LineSignals, arrived: bytes) -> None:
    actions: Sequence[BreakWanted | CarrierWanted] = ()
    if arrived:
        actions = chat.receive(arrived, time.monotonic())
    while True:
        if data := chat.data_to_send():
            await stream.write(data)
        for action in actions:
            await _do(action, signals)
        if chat.result is not None and not actions:
            return
        actions = await _next(stream, chat, is_at_once=bool(actions))


async def _next(
    stream: Stream, chat: Chat, *, is_at_once: bool
) -> Sequence[BreakWanted | CarrierWanted]:
    """Wait for bytes, or for the time at which the chat wants to be asked."""
    seconds = None if chat.wake_at is None else max(chat.wake_at - time.monotonic(), 0)
    if is_at_once or seconds == 0:
        await asyncio.sleep(0)
        return chat.tick(time.monotonic())
    try:
        data = await stream.read(seconds)
    except TimedOut:
        return chat.tick(time.monotonic())
    if not data:
        raise LineLost(f"{stream.peer}: closed the line during the chat")
    return chat.receive(data, time.monotonic())


async def _do(action: BreakWanted | CarrierWanted, signals: LineSignals) -> None:
    if isinstance(action, BreakWanted):
        await signals.send_break()
    else:
        await signals.want_carrier(action.is_needed)
