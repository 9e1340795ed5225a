"""`relaynode call` and `relaynode answer`: one UUCP session, called or answered.

`answer` speaks on standard input and output: as a login shell, from inetd, behind ssh. Whoever let
the caller in has established the login; with --login-prompt we ask for it ourselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import socket
import stat
import sys
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

from relaynode.cli.rights import caller_uid, load_and_step_down
from relaynode.config.loader import find
from relaynode.config.uucp_values import TcpCall, TlsCall
from relaynode.errors import (
    EX_OK,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    BusyError,
    ConnectFailed,
    RelaynodeError,
)
from relaynode.neighbours import load_neighbours
from relaynode.uucico.opening import line_opener

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Collection, Sequence

    from relaynode.config.loader import Config
    from relaynode.node import Node
    from relaynode.wire.stream import Stream


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, StoreError."""
    config = load_and_step_down(find(arguments.config))
    if arguments.command == "call":
        return call(
            config,
            arguments.neighbours,
            grade=arguments.grade,
            is_verbose=arguments.verbose,
        )
    return answer(config, has_prompts=arguments.login_prompt)


def _log_to_standard_error(level: int) -> None:
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s")


def call(
    config: Config,
    names: Sequence[str],
    *,
    grade: str | None = None,
    has_patience: bool = False,
    only_with_work: bool = False,
    is_verbose: bool = False,
    program: str = "relaynode",
) -> int:
    """Call these neighbours at the same time, or all that can be called; 0 if all went well.

    `has_patience`: not before the time to try again. Raises: StoreError.
    """
    _log_to_standard_error(logging.INFO if is_verbose else logging.WARNING)

    async def place(node: Node, name: str, opening: asyncio.Task[Stream] | None) -> int:
        try:
            record = await node.calls.place(
                name, worst_grade=grade, has_patience=has_patience, opening=opening
            )
        except (ConnectFailed, BusyError) as error:
            print(f"{program}: {error}", file=sys.stderr)
            return error.exit_code
        return EX_OK if record.is_complete else EX_TEMPFAIL

    async def work() -> int:
        goes_at_once = not (has_patience or only_with_work)
        openings = _open_lines(config, names) if goes_at_once else {}
        try:
            async with _node(config) as node:
                wanted = list(names) or [one.name for one in node.neighbours if one.ways]
                if only_with_work:
                    wanted = [name for name in wanted if await _has_work(node, name)]
                calls = [place(node, name, openings.get(name)) for name in wanted]
                code = max(await asyncio.gather(*calls), default=EX_OK)
                await _execute(node)
                return code
        finally:
            await _hang_up_all(openings.values())

    return asyncio.run(work())


def _open_lines(config: Config, names: Sequence[str]) -> dict[str, asyncio.Task[Stream]]:
    """Begin to open the lines to neighbours over the network: while the first round trip goes on,
    there is time to load the rest of the program, and to open the queue."""
    neighbours = load_neighbours(config)
    open_line = line_opener(lambda: neighbours, config.source_addresses)
    now = time.localtime()
    openings = {}
    for name in names:
        found = neighbours.find(name)
        way = found.ways[0] if found is not None and found.ways else None
        if found is None or way is None or not isinstance(way.call, TcpCall | TlsCall):
            continue
        if way.grade_at(now.tm_wday, now.tm_hour * 60 + now.tm_min) is not None:
            openings[name] = asyncio.ensure_future(open_line(found, way))
    return openings


async def _hang_up_all(openings: Collection[asyncio.Task[Stream]]) -> None:
    """Those that no call has used; the others are closed already."""
    for opening in openings:
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, RelaynodeError):
            (await opening).abort()


@contextlib.asynccontextmanager
async def _node(config: Config) -> AsyncIterator[Node]:
    """The node, loaded beside what goes on. Raises: StoreError."""
    node = await asyncio.to_thread(_made, config)
    try:
        yield node
    finally:
        await node.close()


def _made(config: Config) -> Node:
    from relaynode.node import make_node

    return make_node(config)


async def _execute(node: Node) -> None:
    """Run what neighbours asked for. The mail that came of it is delivered behind us."""
    from relaynode.cli.deliver import start_in_background

    queued: list[str] = []
    node.intake.on_queued = lambda queue_id, _: queued.append(queue_id)
    await node.executor.run_due()
    if queued:
        start_in_background(node.config)


async def _has_work(node: Node, name: str) -> bool:
    return bool(await node.store.uucp.jobs.due(name, node.clock(), limit=1))


def answer(config: Config, *, has_prompts: bool, login: str | None = None) -> int:
    """Answer in a process of its own, which goes on when the line is hung up.

    `login`: who was let in, instead of our own user.

    Who has started us is done with us then, and may say so with SIGHUP or worse (a terminal,
    Taylor's pipe); but what came to be executed is to be executed.
    """
    _log_to_standard_error(logging.WARNING)
    hears, tells = os.pipe()
    if os.fork():
        os.close(tells)
        told = os.read(hears, 1)
        return told[0] if told else EX_TEMPFAIL
    os.close(hears)
    os.setsid()
    code = EX_SOFTWARE
    try:
        asyncio.run(_answer_and_execute(config, tells, has_prompts=has_prompts, login=login))
    except RelaynodeError as error:
        print(f"relaynode: {error}", file=sys.stderr)
        code = error.exit_code
    except Exception:  # noqa: BLE001 - our parent goes by the code alone
        traceback.print_exc()
    finally:
        _leave(tells, code)


async def _answer_and_execute(
    config: Config, tells: int, *, has_prompts: bool, login: str | None
) -> NoReturn:
    """Does not return: a thread may hang in a read of standard input that the caller never ends,
    and the interpreter would wait for it."""
    from relaynode.wire.stdio import StdioStream

    node = _made(config)
    try:
        record = await node.calls.answer(
            StdioStream(peer="stdin"),
            login="" if has_prompts else login or _own_name(),
            has_prompts=has_prompts,
            is_end_to_end=_is_socket(0),
        )
        code = EX_OK if record.is_complete else EX_TEMPFAIL
        _hang_up()
        _tell(tells, code)
        await _execute(node)
    finally:
        await node.close()
    _leave(tells, code)


def _hang_up() -> None:
    """Give standard input, output and error back, whatever they are."""
    sys.stderr.flush()
    if _is_socket(0):
        with socket.socket(fileno=os.dup(0)) as line, contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_WR)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _leave(tells: int, code: int) -> NoReturn:
    """End at once. Who waits for us takes the first code it is told."""
    sys.stderr.flush()
    _tell(tells, code)
    os._exit(code)


def _tell(tells: int, code: int) -> None:
    with contextlib.suppress(OSError):  # nobody may wait any more
        os.write(tells, bytes([code]))


def _own_name() -> str:
    """The user that the system has let in."""
    try:
        return pwd.getpwuid(caller_uid()).pw_name
    except KeyError:
        return str(caller_uid())


def _is_socket(descriptor: int) -> bool:
    """Is it a network connection, on which nothing is lost between the two programs?"""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        return connection.type == socket.SOCK_STREAM
