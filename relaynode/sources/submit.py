"""The local source: what `sendmail` was given on its standard input.

The same code serves the command that works by itself and the daemon that is handed a message over
its control socket; only where the bytes come from differs.
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.errors import (
    EX_DATAERR,
    EX_NOUSER,
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    AddressError,
    RelaynodeError,
    StoreError,
    TableError,
)
from relaynode.mail import trace
from relaynode.mail.address import addresses, parse_path, split, unread
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.fixing import clean_submission, eat_unix_from
from relaynode.mail.header import MAX_HEADER_BYTES, fields, find_header_end, locate
from relaynode.mail.lines import ToCrlf
from relaynode.mail.xtext import xtext_encode
from relaynode.sources.intake import Arrival, Rejected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from relaynode.sources.intake import Collector, Intake
    from relaynode.sources.sendmail_options import SendmailOptions

_LONE_DOT = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Submitter:
    """The local user who submits. `is_trusted`: may be anybody in `-f` without a warning."""

    name: str
    full_name: str = ""
    is_trusted: bool = False


def local_submitter(uid: int) -> Submitter:
    """The local user with that id."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Submitter(f"uid{uid}")
    full_name = entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())
    return Submitter(entry.pw_name, full_name, is_trusted=uid == 0)


@dataclass(frozen=True, slots=True)
class Submission:
    """How a submission ended: exit code (sysexits), what to print, and the queue id if queued."""

    exit_code: int
    complaint: str = ""
    queue_id: str = ""


class _Refused(Exception):
    def __init__(self, exit_code: int, complaint: str) -> None:
        self.exit_code = exit_code
        super().__init__(complaint)


async def submit(
    intake: Intake,
    options: SendmailOptions,
    submitter: Submitter,
    pieces: AsyncIterator[bytes],
    hostname: str,
) -> Submission:
    """Queue one message. Never raises an error of ours: all is in the exit code and complaint."""
    if not options.recipients and not options.reads_recipients:
        return Submission(EX_USAGE, "Recipient names must be specified")
    collector = intake.collector()
    try:
        return await _submit(intake, collector, options, submitter, pieces, hostname)
    except _Refused as refused:
        collector.discard()
        return Submission(refused.exit_code, str(refused))
    except Rejected as rejected:
        return Submission(EX_UNAVAILABLE, str(rejected.status))
    except (StoreError, TableError) as error:
        collector.discard()
        return Submission(EX_TEMPFAIL, str(error))
    except RelaynodeError as error:
        collector.discard()
        return Submission(error.exit_code, str(error))


async def _submit(
    intake: Intake,
    collector: Collector,
    options: SendmailOptions,
    submitter: Submitter,
    pieces: AsyncIterator[bytes],
    hostname: str,
) -> Submission:
    reverse_path = _reverse_path(options, submitter, hostname)
    lines = _content_lines(pieces, options.ignores_dots)
    start = b""
    async for piece in lines:
        start += piece
        if len(start) >= MAX_HEADER_BYTES or find_header_end(start) < len(start):
            break
    start, dated = eat_unix_from(start)
    head = locate(start[:MAX_HEADER_BYTES], is_whole=len(start) <= MAX_HEADER_BYTES)
    header = start[: head.end]
    given = list(options.recipients)
    if options.reads_recipients:
        given += _header_recipients(header)
    if not given:
        # Seen: sendmail says so and exits 0.
        raise _Refused(EX_OK, "No recipient addresses found in header")
    recipients = _recipients(intake, given, options.notify)
    collector.write(clean_submission(header) + start[head.end :])
    async for piece in lines:
        collector.write(piece)
    envelope = Envelope(
        reverse_path,
        tuple(recipients),
        smtputf8=not all(map(str.isascii, (reverse_path, *(r.address for r in recipients)))),
        ret=options.ret,
        envid=xtext_encode(options.envid) if options.envid else "",
    )
    arrival = _arrival(options, submitter, hostname, dated)
    queue_id = await intake.accept(collector, envelope, arrival, given=given)
    return Submission(EX_OK, queue_id=queue_id)


def _reverse_path(options: SendmailOptions, submitter: Submitter, hostname: str) -> str:
    if options.sender is None:
        return f"{submitter.name}@{hostname}"
    if not options.sender:
        return ""
    try:
        path = parse_path(options.sender, allow_utf8=True)
    except AddressError as error:
        raise _Refused(EX_DATAERR, f"{options.sender}: {error}") from error
    return path if split(path)[1] else f"{path}@{hostname}"


def _arrival(
    options: SendmailOptions, submitter: Submitter, hostname: str, dated: float | None
) -> Arrival:
    warnings: tuple[str, ...] = ()
    sender = submitter.name if options.sender is None else options.sender
    claims_another = options.sender is not None and options.sender.lower() not in (
        submitter.name.lower(),
        f"{submitter.name}@{hostname}".lower(),
    )
    if claims_another and not submitter.is_trusted:
        shown = options.sender or "<>"
        warnings = (f"{submitter.name} set sender to {shown} using -f",)
    return Arrival(
        origin=trace.user_origin(submitter.name),
        protocol="",
        source=f"local {submitter.name}",
        header_sender=sender,
        full_name=options.full_name or ("" if claims_another else submitter.full_name),
        dated=dated,
        warnings=warnings,
    )


def _header_recipients(header: bytes) -> list[str]:
    """The addresses of To, Cc and Bcc; of the Resent- ones if there are any (RFC 5322 3.6.6)."""
    names: tuple[bytes, ...] = (b"to", b"cc", b"bcc")
    resent = tuple(b"resent-" + name for name in names)
    found = list(fields(header))
    if any(field.name.lower() in resent for field in found):
        names = resent
    given = []
    for field in found:
        if field.name.lower() in names:
            value = header[field.value_start : field.end]
            if doubtful := unread(value):
                name = field.name.decode("ascii", "replace")
                raise _Refused(EX_DATAERR, f"{name}: no address: {', '.join(doubtful)}")
            given += addresses(value)
    return given


def _recipients(intake: Intake, given: list[str], notify: str) -> list[Recipient]:
    """The recipients that names stand for.

    One that nobody has is kept while others are good: the sender gets a DSN about it.
    """
    found: dict[tuple[str, str], Recipient] = {}
    refusals = []
    for name in given:
        try:
            path = parse_path(name, allow_utf8=True)
        except AddressError as error:
            raise _Refused(EX_DATAERR, f"{name}: {error}") from error
        if not path:
            raise _Refused(EX_USAGE, "A recipient cannot be the null path")
        try:
            recipients = intake.expand([path])
        except Rejected as rejected:
            refusals.append(rejected.status)
            recipients = [Recipient(path)]
        for recipient in recipients:
            kept = Recipient(recipient.address, notify, "", recipient.expanded_from)
            found.setdefault(intake.identity(recipient), kept)
    if len(refusals) == len(given):
        status = refusals[-1]
        code = EX_TEMPFAIL if status.is_temporary else EX_UNAVAILABLE
        raise _Refused(EX_NOUSER if status.enhanced == "5.1.1" else code, str(status))
    return list(found.values())


async def _content_lines(pieces: AsyncIterator[bytes], ignores_dots: bool) -> AsyncIterator[bytes]:
    """Wire form of what comes, up to a line of a lone dot unless dots are nothing special."""
    to_crlf = ToCrlf()
    held = b"\r\n"  # as if a line had ended before
    pretended = 2
    async for piece in pieces:
        data = to_crlf.feed(piece)
        if ignores_dots:
            yield data
            continue
        held += data
        end = held.find(_LONE_DOT)
        cut = end + 2 if end >= 0 else max(len(held) - len(_LONE_DOT) + 1, 0)
        ready, held = held[:cut], held[cut:]
        drop = min(pretended, len(ready))
        pretended -= drop
        if ready[drop:]:
            yield ready[drop:]
        if end >= 0:
            return
    if not ignores_dots:
        rest = held[pretended:]
        # A lone dot in a last line without an end is a lone dot all the same.
        if held.endswith(b"\r\n."):
            rest = rest[:-1]
        if rest:
            yield rest
