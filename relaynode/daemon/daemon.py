"""The daemon: listens, takes commands, and works whenever there is work and a line for it.

What it does over a link goes through the same `LinkRun` as a command without a daemon, under the
same lock, so there is one session a link.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.loader import load
from relaynode.daemon.caller import LinkCaller
from relaynode.daemon.control_server import ControlServer
from relaynode.daemon.doors import Doors, make_accounts
from relaynode.daemon.receivers import Receivers, usual_number
from relaynode.daemon.timekeeper import Timekeeper, take_turn
from relaynode.daemon.uucp_service import UucpService
from relaynode.daemon.visitor import Visitor, visitors_of
from relaynode.daemon.worker import Worker
from relaynode.errors import ConfigError, RelaynodeError, StoreError
from relaynode.links.etrn_server import EtrnServer
from relaynode.links.odmr_server import OdmrServer
from relaynode.node import Node, make_node
from relaynode.sources.recent_logins import RecentLogins
from relaynode.sources.smtp_settings import crowd_of, guard_of
from relaynode.wire.listener import Listener
from relaynode.wire.ports import Ports
from relaynode.wire.proxied import behind_proxies
from relaynode.wire.systemd import READY, STOPPING, notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.accounts.accounts import Accounts
    from relaynode.config.loader import Config
    from relaynode.config.schema import ListenSection
    from relaynode.config.values import ListenAddress
    from relaynode.daemon.receivers import Start
    from relaynode.sources.crowd import Crowd
    from relaynode.sources.smtp_listener import SmtpSource
    from relaynode.wire.listener import PassOn, Serve

PRUNE_SECONDS = 6 * 3600.0
"""How often a daemon that runs for months forgets what is over."""

log = logging.getLogger("relaynode")


@dataclass(slots=True)
class Daemon:
    """A running node. `run` returns when it was told to stop.

    `ports`: sockets that were opened for it. `tell`: is told, in systemd's words, how far it is.
    `receivers_of`: what starts receivers for a configuration that has just been read; without it
    there are none.
    """

    node: Node
    ports: Ports = field(default_factory=Ports)
    tell: Callable[[str], None] = notify
    receivers_of: Callable[[Config], Start] | None = None
    listeners: list[Listener] = field(default_factory=list)
    control: ControlServer | None = None
    workers: list[Worker] = field(default_factory=list)
    callers: list[LinkCaller] = field(default_factory=list)
    timekeepers: list[Timekeeper] = field(default_factory=list)
    visitors: list[Visitor] = field(default_factory=list)
    etrn: EtrnServer | None = None
    receivers: Receivers | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reloading: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reads the configuration again.

        Raises: StoreError, ConnectFailed (an address that cannot be listened on), BusyError.
        """
        loop = asyncio.get_running_loop()
        for number, event in (
            (signal.SIGTERM, self.stopping),
            (signal.SIGINT, self.stopping),
            (signal.SIGHUP, self.reloading),
        ):
            loop.add_signal_handler(number, event.set)
        try:
            await self.start()
            log.info("ready on %s", self.node.config.spool)
            self.tell(READY)
            await self._serve()
        finally:
            self.tell(STOPPING)
            await self.stop()
        log.info("stopped")

    async def start(self) -> None:
        """Listen and begin to work. Raises: StoreError, ConnectFailed, BusyError."""
        path = self.node.config.control_socket
        self.control = ControlServer(lambda: self.node, self.wake)
        await self.control.refuse_second(path)
        await self._open_listeners()
        # Only now: who starts a daemon takes its first answer here as the sign that it serves.
        await self.control.listen(path)
        await self.node.prune()
        await self.node.links.recover()
        self._start_workers()

    async def stop(self) -> None:
        """End in order: clients are told, claims given back, the queue closed."""
        await self._close_listeners()
        if self.control is not None:
            await self.control.close()
        await self._stop_workers()
        await self.node.close()

    async def _serve(self) -> None:
        while not self.stopping.is_set():
            await _first(self.stopping, self.reloading, seconds=PRUNE_SECONDS)
            if self.reloading.is_set():
                self.reloading.clear()
                await self._reload()
            elif not self.stopping.is_set():
                await self._prune()

    async def _prune(self) -> None:
        try:
            await self.node.prune()
        except StoreError as error:
            log.error("%s", error)

    # --- listening

    async def _open_listeners(self) -> None:
        config = self.node.config
        accounts = make_accounts(config)
        crowd = crowd_of(config)
        recent = RecentLogins(config.file.access.pop_before_smtp_minutes * 60, time.monotonic)
        self.etrn = etrn = EtrnServer(config, self.node.store, self.node.links)
        seconds = float(config.file.limits.command_seconds)
        odmr = OdmrServer(config, self.node.parts, time.monotonic, seconds, self.wake)
        self.receivers = self._make_receivers(crowd, accounts)
        for name, section in config.file.listen.items():
            guard = guard_of(config, section, crowd, etrn.send_now)
            guard.turn = odmr.turn
            doors = Doors(self.node, name, section, accounts, guard, recent)
            service, proxies = doors.pop3(), section.proxy_hosts
            for key, source in doors.for_mail().items():
                pass_on = self._door(f"{key} {name}", source, section)
                for where in getattr(section, key):
                    await self._listen(where, behind_proxies(source.serve, proxies), pass_on)
            for serve, addresses in (
                (behind_proxies(doors.odmr().serve, proxies), section.odmr),
                (service.serve, section.pop3),
                (service.serve_tls, section.pop3s),
            ):
                for where in addresses:
                    await self._listen(where, serve)
            if section.uucp or section.uucp_tls:
                self.node.calls.prepare()
            uucp = UucpService(lambda: self.node)
            for where in section.uucp:
                await self._listen(where, uucp.serve)
            for where in section.uucp_tls:
                await self._listen(where, uucp.serve_tls)
        for place in self.ports.close_unused():
            log.warning("%s is open, and no [listen.NAME] has it: closed", place)

    def _make_receivers(self, crowd: Crowd, accounts: Accounts) -> Receivers | None:
        most = self.node.config.file.limits.receivers
        most = usual_number() if most is None else most
        if self.receivers_of is None or not most:
            return None
        return Receivers(
            self.receivers_of(self.node.config),
            most,
            crowd,
            accounts,
            own=lambda: sum(map(len, self.listeners)),
            on_queued=self._queued,
        )

    def _door(self, words: str, source: SmtpSource, section: ListenSection) -> PassOn | None:
        # For whom a proxy speaks is known only when it has spoken.
        if self.receivers is None or section.proxy_hosts or section.xclient_hosts:
            return None
        return self.receivers.door(words, source.is_near)

    async def _listen(
        self, where: ListenAddress, serve: Serve, pass_on: PassOn | None = None
    ) -> None:
        opened = self.ports.take(where)
        if opened is not None:
            self.listeners.append(Listener(opened, serve, pass_on))
        else:
            self.listeners.append(await Listener.open(where, serve, pass_on))

    async def _close_listeners(self) -> None:
        listeners, self.listeners = self.listeners, []
        receivers, self.receivers = self.receivers, None
        ending = [] if receivers is None else [receivers.close()]
        await asyncio.gather(*(listener.close() for listener in listeners), *ending)
        if self.etrn is not None:
            await self.etrn.close()

    async def _reload(self) -> None:
        """Take a changed configuration, if it is right; the queue stays open."""
        try:
            config = load(self.node.config.path)
            _same_spool(self.node.config, config)
        except ConfigError as error:
            log.error("the old configuration stays in force:\n%s", error)
            return
        await self._close_listeners()
        await self._stop_workers()
        await self.node.links.close()
        self.node = make_node(config, self.node.store)
        self._start_workers()
        try:
            await self._open_listeners()
        except RelaynodeError as error:
            log.error("%s", error)
        log.info("configuration read again")

    # --- working

    def _start_workers(self) -> None:
        self.node.look_seldom()
        self.node.intake.on_queued = self._queued
        self.workers = [
            Worker(link, lambda: self.node, self.wake)
            for link in (None, *self.node.config.mail_links)
        ]
        self.callers = [
            LinkCaller(link, lambda: self.node, self.wake)
            for link in dict.fromkeys(one.link for one in self.node.neighbours if one.ways)
        ]
        self.timekeepers = [
            Timekeeper(name, self.node, self.on_turn)
            for name, link in self.node.config.links.items()
            if link.timetable is not None
        ]
        self.visitors = visitors_of(self.node, self.wake)

    async def _stop_workers(self) -> None:
        ending: list[Worker | LinkCaller | Timekeeper | Visitor]
        ending = [*self.workers, *self.callers, *self.timekeepers, *self.visitors]
        self.workers, self.callers, self.timekeepers, self.visitors = [], [], [], []
        await asyncio.gather(*(one.close() for one in ending))

    async def on_turn(self, link: str) -> None:
        """It is a link's turn by its timetable. Raises: BusyError, CalledOff, StoreError."""
        try:
            await take_turn(self.node, link)
        finally:
            self.wake()

    def _queued(self, queue_id: str, stays_here: bool) -> None:
        for worker in self.workers:
            if stays_here or not worker.is_home:
                worker.queued(queue_id)
        self._wake_calls()

    def wake(self) -> None:
        """Look at the whole queue: something has changed."""
        for worker in self.workers:
            worker.wake()
        self._wake_calls()

    def _wake_calls(self) -> None:
        self.node.wake_calls()
        for caller in self.callers:
            caller.wake()


def _same_spool(old: Config, new: Config) -> None:
    if new.spool != old.spool:
        log.warning("node.spool is changed only by a restart; %s stays in use", old.spool)


async def _first(*events: asyncio.Event, seconds: float) -> None:
    """Wait until one of these is set, or so long."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
