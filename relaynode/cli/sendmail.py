"""`sendmail` the whole way: every mode, with the daemon or without it.

    python -m relaynode.cli.sendmail [options] [recipients]

What is said about mail goes to standard output and what getopt has to say to standard error, as
with sendmail. Errors of our own (configuration, queue) go to standard error too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli.client import DaemonClient
from relaynode.cli.deliver import start_in_background
from relaynode.cli.rights import caller_uid, step_down
from relaynode.config.loader import find, load
from relaynode.errors import EX_IOERR, EX_OK, EX_OSFILE, EX_TEMPFAIL, RelaynodeError, UsageError
from relaynode.sources.sendmail_options import SendmailOptions, parse_options
from relaynode.sources.submit import header_recipients, local_submitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from relaynode.config.loader import Config
    from relaynode.rules import Rules

READ_BYTES = 65536


def main(argv: list[str] | None = None, program: str = "sendmail") -> int:
    """Run as `program`; the exit code (sysexits)."""
    try:
        words = sys.argv[1:] if argv is None else argv
        options = parse_options(words, program)
        config = _config(options)
        if options.shows_identity:
            from relaynode.cli.identity import identity

            print(identity(config.hostname))
        if options.mode in _MODES:
            for remark in options.remarks:
                print(remark)
            code = _MODES[options.mode](config, options)
            sys.stdout.flush()
            return code or options.exit_code
        return _submit(config, options)
    except UsageError as error:
        say(str(error), program)
        return error.exit_code
    except RelaynodeError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EX_TEMPFAIL
    except BrokenPipeError:
        # The reader of our output went away: not ours to complain about, nor the interpreter's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_IOERR


def say(text: str, program: str = "sendmail") -> None:
    """Print what there is to say, where sendmail prints it."""
    if text:
        print(text, file=sys.stderr if text.startswith(f"{program}: ") else sys.stdout)


class _NoFile(UsageError):
    exit_code = EX_OSFILE


def _config(options: SendmailOptions) -> Config:
    """Our configuration. A sendmail.cf that -C names says nothing to us, but has to be there."""
    if not options.config_file:
        return load(find())
    path = Path(options.config_file)
    if not path.exists():
        raise _NoFile(f"{path}: line 0: cannot open: No such file or directory")
    if not path.is_file():
        raise _NoFile(f"{path}: line 0: not a plain file")
    return load(path if path.suffix == ".toml" else find())


# --- submission


def _submit(config: Config, options: SendmailOptions) -> int:
    """Through the daemon if there is one: the queue may be closed to us, and is not to it."""
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is None:
        step_down(config)
        return asyncio.run(_submit_ourselves(config, options))
    code, complaint = daemon.submit(options.words, _pieces())
    say(complaint)
    return code


async def _submit_ourselves(config: Config, options: SendmailOptions) -> int:
    from relaynode.node import deliver_here, make_node
    from relaynode.sources.filters import local_filters_of
    from relaynode.sources.submit import submit

    node = make_node(config)
    try:
        submitter = local_submitter(caller_uid())
        ended = await submit(
            node.intake,
            options,
            submitter,
            _stdin(),
            config.hostname,
            lambda queue_id: deliver_here(node, queue_id),
            local_filters_of(config),
        )
    finally:
        await node.close()
    say(ended.complaint)
    if ended.queue_id and options.delivery in ("b", "i"):
        start_in_background(config)
    return ended.exit_code


def _pieces() -> Iterator[bytes]:
    return iter(lambda: os.read(0, READ_BYTES), b"")


async def _stdin() -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(os.read, 0, READ_BYTES):
        yield piece


def _smtp(config: Config, options: SendmailOptions) -> int:
    """`-bs`: SMTP on standard input and output, for the user who calls."""
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is not None:
        daemon.relay("smtp")
        return EX_OK
    step_down(config)
    asyncio.run(_smtp_session(config))
    if options.delivery in ("b", "i"):
        start_in_background(config)
    return EX_OK


async def _smtp_session(config: Config) -> None:
    from relaynode.node import make_node
    from relaynode.sources.filters import local_filters_of
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
            filters=local_filters_of(config),
        )
        user = local_submitter(caller_uid()).name
        await source.serve(StdioStream(), "127.0.0.1", trusted_user=user)
    finally:
        await node.close()


# --- the other modes; each imports what it needs


def _queue(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import background, queue_modes

    if options.interval:
        return background.start(config, is_needed=False)
    return queue_modes.run(config, options)


def _quarantine(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import queue_modes

    return queue_modes.quarantine(config, options)


def _list(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import mailq

    return mailq.run(config, options)


def _aliases(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import newaliases

    return newaliases.run(config)


def _hosts(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import hoststat

    return hoststat.run(config, is_long=options.is_verbose)


def _purge_hosts(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import hoststat

    return hoststat.purge(config)


def _daemon(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import background

    return background.start(config)


def _daemon_in_foreground(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import serve

    return serve.in_foreground(config)


def _verify(config: Config, options: SendmailOptions) -> int:
    """`-bv`: who gets mail for these addresses; for those of a header with -t."""
    from relaynode.sources.verify import verify

    names = list(options.recipients)
    if options.reads_recipients:
        names += header_recipients(b"".join(_pieces()))
    if not names:
        raise UsageError("Recipient names must be specified")
    expander = replace(_rules(config).expander, uses_aliases=options.uses_aliases)
    answer = verify(expander, names, is_verbose=options.is_verbose)
    for line in answer.lines:
        print(line)
    return answer.exit_code


def _address_test(config: Config, options: SendmailOptions) -> int:
    from relaynode.cli import address_test

    for text in address_test.run(_rules(config), sys.stdin, _mail_exchangers):
        sys.stdout.write(text)
        sys.stdout.flush()
    return EX_OK


def _rules(config: Config) -> Rules:
    """The tables without the queue, so that anybody may ask."""
    from relaynode.mailers.users import Users
    from relaynode.rules import Rules

    return Rules(config, Users(config.mailbox, frozenset(config.file.local.users)))


def _mail_exchangers(domain: str) -> list[str]:
    from relaynode.wire.dns import Dns

    return list(Dns().mail_exchangers(domain))


_MODES: dict[str, Callable[[Config, SendmailOptions], int]] = {
    "D": _daemon_in_foreground,
    "H": _purge_hosts,
    "P": _list,
    "Q": _quarantine,
    "d": _daemon,
    "h": _hosts,
    "i": _aliases,
    "p": _list,
    "q": _queue,
    "s": _smtp,
    "t": _address_test,
    "v": _verify,
}
"""All modes but delivery."""

if __name__ == "__main__":
    sys.exit(main())
