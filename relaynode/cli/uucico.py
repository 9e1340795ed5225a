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
import traceback
from typing import TYPE_CHECKING, NoReturn

from relaynode.config.loader import find, load
from relaynode.errors import (
    EX_OK,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    BusyError,
    ConnectFailed,
    RelaynodeError,
)
from relaynode.node import make_node
from relaynode.uucp.call import Status
from relaynode.wire.stdio import StdioStream

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    from relaynode.config.loader import Config
    from relaynode.node import Node


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConfigError, StoreError."""
    config = load(find(arguments.config))
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

    async def place(node: Node, name: str) -> int:
        try:
            record = await node.calls.place(name, worst_grade=grade, has_patience=has_patience)
        except (ConnectFailed, BusyError) as error:
            print(f"{program}: {error}", file=sys.stderr)
            return error.exit_code
        return EX_OK if record.status is Status.COMPLETE else EX_TEMPFAIL

    async def work(node: Node) -> int:
        wanted = list(names) or [one.name for one in node.neighbours if one.ways]
        if only_with_work:
            wanted = [name for name in wanted if await _has_work(node, name)]
        return max(await asyncio.gather(*(place(node, name) for name in wanted)), default=EX_OK)

    return asyncio.run(_in_node(config, work))


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
    node = make_node(config)
    try:
        record = await node.calls.answer(
            StdioStream(peer="stdin"),
            login="" if has_prompts else login or _own_name(),
            has_prompts=has_prompts,
            is_end_to_end=_is_socket(0),
        )
        code = EX_OK if record.status is Status.COMPLETE else EX_TEMPFAIL
        _hang_up()
        _tell(tells, code)
        await node.executor.run_due()
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


async def _in_node(config: Config, work: Callable[[Node], Awaitable[int]]) -> int:
    """Open the node, do the work, and run what came to be executed."""
    node = make_node(config)
    try:
        code = await work(node)
        await node.executor.run_due()
    finally:
        await node.close()
    return code


def _own_name() -> str:
    """The user that the system has let in."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _is_socket(descriptor: int) -> bool:
    """Is it a network connection, on which nothing is lost between the two programs?"""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        return connection.type == socket.SOCK_STREAM
