"""`sendmail` the whole way: every mode, with the daemon or without it.

python -m relaynode.cli.sendmail [options] [recipients]
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

from relaynode.cli.client import DaemonClient
from relaynode.cli.deliver import start_in_background
from relaynode.config.loader import find, load
from relaynode.errors import EX_OK, EX_TEMPFAIL, EX_USAGE, RelaynodeError, UsageError
from relaynode.sources.sendmail_options import SendmailOptions, parse_options
from relaynode.sources.submit import local_submitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relaynode.config.loader import Config

READ_BYTES = 65536


def main(argv: list[str] | None = None) -> int:
    """Run; the exit code (sysexits)."""
    try:
        words = sys.argv[1:] if argv is None else argv
        options = parse_options(words)
        config = load(find())
        match options.mode:
            case "p":
                return _list(config, options)
            case "q":
                return _run_queue(config, options)
            case "s":
                return asyncio.run(_smtp(config))
            case _:
                return _submit(config, options, words)
    except UsageError as error:
        print(error, file=sys.stderr)
        return EX_USAGE
    except RelaynodeError as error:
        print(f"sendmail: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EX_TEMPFAIL


def _submit(config: Config, options: SendmailOptions, words: list[str]) -> int:
    """Through the daemon if there is one: the queue may be closed to us, and is not to it."""
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is None:
        return asyncio.run(_submit_ourselves(config, options))
    code, complaint = daemon.submit(words, iter(lambda: os.read(0, READ_BYTES), b""))
    if complaint:
        print(complaint, file=sys.stderr)
    return code


async def _submit_ourselves(config: Config, options: SendmailOptions) -> int:
    from relaynode.node import make_node
    from relaynode.sources.submit import submit

    node = make_node(config)
    try:
        submitter = local_submitter(os.getuid())
        ended = await submit(node.intake, options, submitter, _stdin(), config.hostname)
    finally:
        await node.close()
    if ended.complaint:
        print(ended.complaint, file=sys.stderr)
    if ended.queue_id:
        start_in_background(config)
    return ended.exit_code


async def _stdin() -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(os.read, 0, READ_BYTES):
        yield piece


async def _smtp(config: Config) -> int:
    """`-bs`: SMTP on standard input and output, for the user who calls."""
    from relaynode.node import make_node
    from relaynode.sources.smtp_listener import SmtpSource
    from relaynode.wire.stdio import StdioStream

    node = make_node(config)
    try:
        source = SmtpSource(
            node.intake,
            node.rules,
            hostname=config.hostname,
            networks=[],
            max_size_bytes=config.file.queue.message_size_bytes,
        )
        user = local_submitter(os.getuid()).name
        await source.serve(StdioStream(), "127.0.0.1", trusted_user=user)
    finally:
        await node.close()
    start_in_background(config)
    return EX_OK


def _run_queue(config: Config, options: SendmailOptions) -> int:
    """`-q`, `-qR...`: one run; it is the daemon's affair to repeat it."""
    from relaynode.cli.link import flush_wishes, run_links
    from relaynode.cli.progress import Screen

    if options.interval:
        raise UsageError("-qINTERVAL is the daemon's affair: relaynode serve")
    wishes = flush_wishes(config, tuple(options.queue_only))
    run_links(config, wishes, is_up=False, screen=Screen(is_quiet=not options.is_verbose))
    return EX_OK


def _list(config: Config, options: SendmailOptions) -> int:
    """`-bp`, with `-qR...` only some, in the layout of sendmail's mailq."""
    from relaynode.cli.mailq import listing
    from relaynode.cli.queue import in_node
    from relaynode.links.linkrun import Wish

    chosen = Wish(only=tuple(options.queue_only))
    messages = [
        message
        for message in in_node(config, lambda node: node.store.messages())
        if chosen.takes(message, message.recipients[0])
    ]
    sys.stdout.write(listing(messages, str(config.spool), time.localtime))
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
