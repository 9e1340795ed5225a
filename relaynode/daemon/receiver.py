"""A receiver: takes mail from connections that the daemon hands over (`receivers.py`).

It has its own way into the queue, as every program of a node has, and no listeners, workers or
links. It ends when the daemon does, or when the daemon closes the channel.
"""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.daemon.doors import Doors, make_accounts
from relaynode.daemon.receivers import (
    AWAY,
    FAILED,
    LEFT,
    QUEUED,
    READY,
)
from relaynode.links.etrn_server import EtrnServer
from relaynode.sources.crowd import Crowd, CrowdLimits
from relaynode.sources.recent_logins import RecentLogins
from relaynode.sources.smtp_settings import guard_of
from relaynode.wire.channel import MAX_BYTES, Channel
from relaynode.wire.listener import Reception

if TYPE_CHECKING:
    import socket

    from relaynode.node import Node
    from relaynode.sources.smtp_listener import SmtpSource

_QUEUE_ID_BYTES = 16


@dataclass(slots=True)
class Receiver:
    """`daemon`: our end of its channel."""

    node: Node
    daemon: socket.socket
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _channel: Channel = field(init=False)
    _sources: dict[str, SmtpSource] = field(init=False, default_factory=dict)
    reception: Reception = field(init=False)
    _queued: dict[str, list[str]] = field(
        init=False, default_factory=lambda: {QUEUED: [], AWAY: []}
    )
    _left: int = field(init=False, default=0)
    _is_told_soon: bool = field(init=False, default=False)

    async def run(self) -> None:
        """Serve until the daemon has had enough. Raises: StoreError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is the daemon's
        await self.serve()

    async def serve(self) -> None:
        """The same, whatever signals say. Raises: StoreError."""
        node = self.node
        node.look_seldom()
        node.intake.on_queued = self._note_queued
        self.reception = Reception(self._note_left)
        etrn = EtrnServer(node.config, node.store, node.links)
        self._open_doors(etrn)
        self._channel = Channel(self.daemon, self._take, self.stopping.set)
        try:
            self._channel.say(READY)
            await self.stopping.wait()
        finally:
            await self.reception.close()
            await etrn.close()
            self._tell()
            self._channel.close()
            await node.close()

    def _open_doors(self, etrn: EtrnServer) -> None:
        config = self.node.config
        accounts = make_accounts(config)
        accounts.on_failed = lambda address: self._channel.say(f"{FAILED} {address}")
        # Whoever comes here is not counted; but for the number of all, which the daemon knows.
        crowd = Crowd(CrowdLimits(), time.monotonic)
        nobody = RecentLogins(0, time.monotonic)
        for name, section in config.file.listen.items():
            guard = guard_of(config, section, crowd, etrn.send_now)
            doors = Doors(self.node, name, section, accounts, guard, nobody)
            self._sources |= {f"{key} {name}": one for key, one in doors.for_mail().items()}

    def _take(self, words: str, connected: socket.socket | None) -> None:
        if connected is None:
            return
        source = self._sources.get(words)
        if source is None:  # a daemon of another configuration
            connected.close()
            self._note_left()
            return
        self.reception.take(connected, source.serve)

    # --- what the daemon is told, once for all that has happened in a turn of the loop

    def _note_queued(self, queue_id: str, stays_here: bool) -> None:
        self._queued[QUEUED if stays_here else AWAY].append(queue_id)
        self._tell_soon()

    def _note_left(self) -> None:
        self._left += 1
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._is_told_soon:
            self._is_told_soon = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_told_soon = False
        most = MAX_BYTES // _QUEUE_ID_BYTES - 1
        for kind, queue_ids in self._queued.items():
            while queue_ids:
                self._channel.say(f"{kind} {' '.join(queue_ids[:most])}")
                del queue_ids[:most]
        if self._left:
            self._channel.say(f"{LEFT} {self._left}")
            self._left = 0
