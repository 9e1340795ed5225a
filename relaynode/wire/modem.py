r"""A modem: dialled with its chat script, and hung up with another.

    \D  the number as it is written, but for = and -, which become what the modem wants to wait for
        a second dial tone and to pause
    \T  the same, with letters at its beginning replaced by what the dial codes say

A stream that is closed runs the `complete` chat, one that is aborted the `abort` chat; then the
line is hung up whatever the modem made of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

from relaynode.errors import ConnectFailed, WireError
from relaynode.wire.chatting import run_chat
from relaynode.wire.serial import open_serial

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

    from relaynode.config.uucp_values import ChatScript, Dialer, ModemCall
    from relaynode.wire.meter import ByteCount
    from relaynode.wire.serial import SerialStream

CLOSING_CHAT_SECONDS = 30.0
"""How long all of a complete or abort chat may take."""

_LETTERS = re.compile("[A-Za-z]*")


async def dial(call: ModemCall, *, locks: Path, count: ByteCount | None = None) -> ModemStream:
    """Dial the number until it answers, as often as the modem's settings allow.

    Raises: BusyError if another program has the line; ConnectFailed.
    """
    modem = call.modem
    for attempt in range(1, modem.attempts + 1):
        try:
            return await _dial_once(call, locks, count)
        except WireError as error:
            if attempt == modem.attempts:
                what = f"{modem.name}, {call.number}: {error}"
                raise ConnectFailed(what) from error
        await asyncio.sleep(modem.redial_seconds)
    raise AssertionError("there is one attempt at least")


async def _dial_once(call: ModemCall, locks: Path, count: ByteCount | None) -> ModemStream:
    line = await open_serial(call.modem.line, locks=locks, count=count)
    stream = ModemStream(line, call)
    try:
        await stream.dial()
    except BaseException:
        await stream.break_off()
        raise
    return stream


class ModemStream:
    """A `Stream` over a modem. It is of no use before `dial` has returned."""

    def __init__(self, line: SerialStream, call: ModemCall) -> None:
        self.peer = f"{call.modem.name} [{line.peer}]"
        self._line = line
        self._call = call
        self._dialer: Dialer = call.modem.dialers[0][0]
        self._arrived = b""
        self._breaking_off: asyncio.Task[None] | None = None

    @property
    def _has_carrier(self) -> bool:
        return self._line.line.has_carrier and self._dialer.has_carrier

    # --- dialling

    async def dial(self) -> None:
        """Raises: WireError."""
        if self._dialer.has_dtr_toggle:
            await self._line.toggle_dtr()
        for dialer, token in self._call.modem.dialers:
            values = self._values(dialer, token)
            self._arrived = await run_chat(
                self._line, dialer.chat, values, signals=self, arrived=self._arrived
            )
        if self._has_carrier:
            await self.want_carrier(True)

    def _values(self, dialer: Dialer, token: str) -> dict[str, bytes]:
        """What the letters in a dialer's chat stand for."""
        number, codes = self._call.number, self._call.modem.dialcodes
        raw = {r"\D": number, r"\T": number}.get(token, token)
        translated = raw
        if token == r"\T" or any(r"\T" in word for word in dialer.chat.words):
            translated = translate(raw, codes)
        line = self._call.modem.line
        values = {
            "D": dialled(translated if token == r"\T" else raw, dialer),
            "T": dialled(translated, dialer),
            "Y": line.device,
            "S": str(line.speed or ""),
        }
        return {letter: text.encode("utf-8", "surrogateescape") for letter, text in values.items()}

    async def send_break(self) -> None:
        """See LineSignals."""
        await self._line.send_break()

    async def want_carrier(self, is_wanted: bool) -> None:
        """See LineSignals. A line or modem without the signal stays as it is."""
        if not self._has_carrier:
            return
        if is_wanted:
            await self._line.wait_for_carrier(self._dialer.carrier_wait_seconds)
        self._line.watch_carrier(is_wanted)

    # --- see Stream

    async def read(self, timeout: float | None = None) -> bytes:
        """See Stream."""
        if self._arrived:
            data, self._arrived = self._arrived, b""
            return data
        return await self._line.read(timeout)

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """See Stream."""
        await self._line.write(data, timeout)

    def backlog(self) -> int:
        """See Stream."""
        return self._line.backlog()

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None, timeout: float | None = None
    ) -> None:
        """See SerialStream."""
        await self._line.start_tls(context, server_hostname, timeout)

    async def close(self) -> None:
        """See Stream."""
        await self._end(self._dialer.complete)

    async def break_off(self) -> None:
        """End a call that went wrong. Never raises."""
        await self._end(self._dialer.abort)

    def abort(self) -> None:
        """See Stream. What the modem must be told goes on for a while in the background."""
        if not self._dialer.abort:
            self._line.abort()
        elif self._breaking_off is None:
            self._breaking_off = asyncio.get_running_loop().create_task(self.break_off())

    async def _end(self, script: ChatScript) -> None:
        try:
            with contextlib.suppress(WireError, TimeoutError):
                async with asyncio.timeout(CLOSING_CHAT_SECONDS):
                    if script:
                        self._line.watch_carrier(False)
                        await run_chat(self._line, script, {}, signals=self)
            await self._line.close()
        finally:
            self._line.abort()


def translate(number: str, codes: Mapping[str, str]) -> str:
    """The number with its dial code replaced. Raises: ConnectFailed for one that is not known."""
    found = _LETTERS.match(number)
    letters = found[0] if found else ""
    if not letters:
        return number
    if letters not in codes:
        raise ConnectFailed(f'{number}: the dial code "{letters}" is not known')
    return codes[letters] + number[len(letters) :]


def dialled(number: str, dialer: Dialer) -> str:
    """The number as this modem is told it."""
    return number.replace("=", "\0").replace("-", dialer.pause).replace("\0", dialer.dialtone)
