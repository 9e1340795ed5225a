"""`linkup`, `linkdown`, `flush`, `fetch`: through the daemon, or without one in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from relaynode.cli import offers
from relaynode.cli.background import moved_environment
from relaynode.cli.client import DaemonClient
from relaynode.cli.opened import in_store
from relaynode.cli.progress import Screen
from relaynode.cli.rights import step_down
from relaynode.config.loader import find, load
from relaynode.errors import EX_OK, EX_TEMPFAIL, CalledOff, UsageError
from relaynode.links.line_lock import holders
from relaynode.links.wish import Wish

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from relaynode.config.loader import Config
    from relaynode.config.schema import RemoteSection
    from relaynode.links.summary import Summary


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, UsageError, BusyError, StoreError, CalledOff."""
    config = load(find(arguments.config))
    match arguments.command:
        case "linkdown":
            return link_down(config, the_link(config, arguments.link))
        case "linkup" if arguments.background:
            return _in_background(config, the_link(config, arguments.link))
        case "linkup":
            links = {the_link(config, arguments.link): Wish(over_budget=arguments.over_budget)}
        case "flush":
            links = _flushed(config, arguments)
        case _ if arguments.list or arguments.get or arguments.delete:
            return offers.run(config, arguments)
        case _:
            links = polled(config, arguments.accounts, only_counts=arguments.check)
    summaries = run_links(
        config, links, is_up=arguments.command == "linkup", screen=_screen(arguments)
    )
    if arguments.json:
        print(json.dumps(summaries[0] if len(summaries) == 1 else summaries, indent=2))
    elif getattr(arguments, "check", False):
        print("".join(map(offers.counts, summaries)), end="")
    return EX_OK if all(map(is_clean, summaries)) else EX_TEMPFAIL


def _screen(arguments: argparse.Namespace) -> Screen:
    """Under cron and in a hook, where no terminal is near, a run that went well says nothing."""
    is_alone = not any(map(os.isatty, (0, 1, 2))) and not arguments.verbose
    is_check = getattr(arguments, "check", False)
    return Screen(is_quiet=arguments.quiet or arguments.json or is_alone or is_check)


def _in_background(config: Config, link: str) -> int:
    """For hooks whose caller waits: whether a daemon runs or not, they end at once."""
    from_file = ["--config", str(config.path.absolute())] if config.path is not None else []
    subprocess.Popen(
        [sys.executable, "-P", "-m", "relaynode", *from_file, "linkup", link, "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=moved_environment(),
    )
    return EX_OK


def the_link(config: Config, named: str | None) -> str:
    """The link a command is about. Raises: UsageError if that is not clear."""
    links = list(config.file.link) or list(config.links)
    if named is None:
        if len(links) > 1:
            raise UsageError(f"which link? there are {', '.join(links)}")
        return links[0]
    if named not in config.links:
        raise UsageError(f"there is no link {named}; there are {', '.join(links)}")
    return named


def _flushed(config: Config, arguments: argparse.Namespace) -> dict[str, Wish]:
    only = [("R", text) for text in arguments.to]
    only += [("S", text) for text in arguments.sender]
    only += [("I", text) for text in arguments.id]
    return flush_wishes(config, tuple(only), arguments.link)


def flush_wishes(
    config: Config, only: tuple[tuple[str, str], ...] = (), link: str | None = None
) -> dict[str, Wish]:
    """A flush over one link, or over each that a smart host is reached by."""
    wish = Wish(poll=False, only=only)
    if link is not None:
        return {the_link(config, link): wish}
    return dict.fromkeys(config.mail_links, wish)


def polled(config: Config, accounts: list[str], *, only_counts: bool = False) -> dict[str, Wish]:
    """A poll of these accounts, or of all: what is wished of each link. Raises: UsageError."""
    tables: list[Mapping[str, RemoteSection]] = [config.file.account, config.file.etrn]
    known = list(dict.fromkeys(name for table in tables for name in table))
    for name in accounts:
        if name not in known:
            there = ", ".join(known) or "none"
            raise UsageError(f"there is no account {name}; there are: {there}")
    if not known:
        raise UsageError("no account is configured: add [account.NAME]")
    links: dict[str, list[str]] = {}
    for name in accounts or known:
        for table in tables:
            if name in table:
                links.setdefault(config.link_of(table[name]), []).append(name)
    return {
        link: Wish(flush=False, accounts=tuple(some) if accounts else None, only_counts=only_counts)
        for link, some in links.items()
    }


def is_clean(summary: dict[str, Any]) -> bool:
    """Did everything that was tried work?"""
    return not summary["problems"] and not summary["deferred"]


def run_links(
    config: Config,
    links: dict[str, Wish],
    *,
    is_up: bool,
    screen: Screen,
    asks_daemon: bool = True,
) -> list[dict[str, Any]]:
    """Run over each link in turn; the summaries as plain values.

    `is_up`: a hook says that the link came up. `asks_daemon`: one that runs does it, if it has the
    same configuration. Raises: BusyError, CalledOff, StoreError.
    """
    summaries = []
    for link, wish in links.items():
        with screen:
            summary = _by_daemon(config, link, wish, is_up, screen) if asks_daemon else None
            if summary is None:
                step_down(config)
                summary = asyncio.run(_by_ourselves(config, link, wish, is_up, screen))
        screen.end(summary)
        summaries.append(summary)
    return summaries


def _by_daemon(
    config: Config, link: str, wish: Wish, is_up: bool, screen: Screen
) -> dict[str, Any] | None:
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is None:
        return None
    verb = "linkup" if is_up else "run"
    answer = daemon.ask(verb, [link, wish.to_json()], screen.progress)
    if "summary" not in answer:
        raise _Told(answer["exit"], answer["text"])
    summary: dict[str, Any] = answer["summary"]
    return summary


class _Told(CalledOff):
    """What the daemon said instead of running."""

    def __init__(self, exit_code: int, text: str) -> None:
        self.exit_code = exit_code
        super().__init__(text)


async def _by_ourselves(
    config: Config, link: str, wish: Wish, is_up: bool, screen: Screen
) -> dict[str, Any]:
    from relaynode.node import make_node

    node = make_node(config)
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, node.links.call_off, link)
        if is_up:
            await node.links.came_up(link)
        show: Callable[[Summary], None] = lambda summary: screen.progress(summary.as_json())  # noqa: E731
        summary = await node.links.run(link, wish, on_progress=show)
        await node.prune()
    finally:
        await node.close()
    return summary.as_json()


def link_down(config: Config, link: str) -> int:
    """The line is gone: remember it, and end what still tries to use it."""
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is not None:
        answer = daemon.ask("linkdown", [link])
        if answer["exit"] != EX_OK:
            raise _Told(answer["exit"], answer["text"])
        return EX_OK

    in_store(config, lambda store: store.set_link(link, False, time.time()))
    for holder in holders(config.spool, link):
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGTERM)
    return EX_OK
