"""The local source: what `sendmail` was given on its standard input.

The same code serves the command that works by itself and the daemon that is handed a message over
its control socket; only where the bytes come from differs.

What is printed and how it ends is sendmail's, but for one thing. A message that was given with bad
recipients is mailed back to its sender where sendmail would save it in his dead.letter: the daemon
writes into nobody's home.

    -oe    printed   mailed back   exit code
    p      yes       yes           of the first bad recipient
    m, w   no        yes           the same
    e      no        yes           0
    q      no        no            of the first bad recipient
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.errors import (
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
from relaynode.mail.header import (
    CRLF,
    MAX_HEADER_BYTES,
    fields,
    find_header_end,
    first_value,
    locate,
)
from relaynode.mail.lines import ToCrlf
from relaynode.mail.sysexits import exit_code
from relaynode.mail.xtext import xtext_encode
from relaynode.queue.model import RecipientState
from relaynode.sources.intake import Arrival, Parcel, Rejected
from relaynode.sources.verify import expansion_exit_code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from relaynode.queue.model import QueuedMessage, QueuedRecipient
    from relaynode.sources.filters import Filters
    from relaynode.sources.intake import Collector, Intake
    from relaynode.sources.sendmail_options import SendmailOptions

    Deliver = Callable[[str], Awaitable[QueuedMessage | None]]

_LONE_DOT = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Submitter:
    """The local user who submits."""

    name: str
    full_name: str = ""


def local_submitter(uid: int) -> Submitter:
    """The local user with that id."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Submitter(f"uid{uid}")
    return Submitter(entry.pw_name, _full_name(entry))


def _full_name(entry: pwd.struct_passwd) -> str:
    return entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())


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


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Whom names stand for, and what is wrong with them."""

    recipients: tuple[Recipient, ...]
    exit_code: int
    complaints: tuple[str, ...]


async def submit(
    intake: Intake,
    options: SendmailOptions,
    submitter: Submitter,
    pieces: AsyncIterator[bytes],
    hostname: str,
    deliver: Deliver | None = None,
    filters: Filters | None = None,
) -> Submission:
    """Queue one message. Never raises an error of ours: all is in the exit code and complaint.

    `deliver`: tries now what stays on this machine of the message with that queue id, and gives it
    as it is then; used where the caller wants to wait for that. `filters`: who is asked about it.
    """
    if not options.reads_recipients and not any(map(str.strip, options.recipients)):
        return _ended(options, EX_USAGE, ["Recipient names must be specified"])
    collector = intake.collector()
    try:
        return await _submit(
            intake, collector, options, submitter, pieces, hostname, deliver, filters
        )
    except _Refused as refused:
        collector.discard()
        return _ended(options, refused.exit_code, [str(refused)])
    except Rejected as rejected:
        code = EX_TEMPFAIL if rejected.status.is_temporary else EX_UNAVAILABLE
        return _ended(options, code, [str(rejected.status)])
    except (StoreError, TableError) as error:
        collector.discard()
        return _ended(options, EX_TEMPFAIL, [f"sendmail: {error}"])
    except RelaynodeError as error:
        collector.discard()
        return _ended(options, error.exit_code, [f"sendmail: {error}"])


def _ended(
    options: SendmailOptions, code: int, lines: list[str] | tuple[str, ...], queue_id: str = ""
) -> Submission:
    """With what was wrong with the options said first; that counts if nothing else went wrong."""
    text = "\n".join(line for line in (*options.remarks, *lines) if line)
    return Submission(code or options.exit_code, text, queue_id)


async def _submit(
    intake: Intake,
    collector: Collector,
    options: SendmailOptions,
    submitter: Submitter,
    pieces: AsyncIterator[bytes],
    hostname: str,
    deliver: Deliver | None,
    filters: Filters | None,
) -> Submission:
    reverse_path = _reverse_path(options, submitter, hostname)
    lines = _content_lines(pieces, options.ignores_dots)
    start, dated = eat_unix_from(await _head(lines))
    head = locate(start[:MAX_HEADER_BYTES], is_whole=len(start) <= MAX_HEADER_BYTES)
    header = start[: head.end]
    given = list(options.recipients)
    if options.reads_recipients:
        given += _header_recipients(header)
    if not given:
        # Seen: sendmail says so and exits 0.
        raise _Refused(EX_OK, "No recipient addresses found in header")
    resolved = _resolve(intake, given, options)
    if not resolved.recipients:
        collector.discard()
        return _told(options, resolved)
    collector.write(clean_submission(header) + start[head.end :])
    async for piece in lines:
        collector.write(piece)
    envelope = _envelope(options, reverse_path, resolved.recipients)
    arrival = _arrival(intake, options, submitter, hostname, dated, header)
    if filters is not None:
        from relaynode.sources.local_filters import filter_local  # `sendmail` starts fast without

        parcel = await filter_local(intake, filters, Parcel(collector, envelope, arrival))
        if parcel is None:
            return _told(options, resolved)
        collector, envelope, arrival = parcel.collector, parcel.envelope, parcel.arrival
    is_waited_for = options.delivery == "i" or (options.is_verbose and options.delivery == "b")
    queue_ids: list[str] = []
    goes_on = not is_waited_for and options.delivery == "b"
    queue_id = await intake.accept(
        collector,
        envelope,
        arrival,
        given=_only_name(options),
        announce=None if goes_on else queue_ids.append,
    )
    if not is_waited_for or deliver is None:
        return _told(options, resolved, queue_id)
    messages = [await _tried(intake, one, deliver) for one in queue_ids]
    return _waited(options, resolved, [one for one in messages if one is not None], queue_id)


async def _head(lines: AsyncIterator[bytes]) -> bytes:
    """The start of what comes, with the whole header in it unless that is too long."""
    start = b""
    async for piece in lines:
        start += piece
        if len(start) >= MAX_HEADER_BYTES or _is_header_over(start):
            break
    return start


def _is_header_over(start: bytes) -> bool:
    """Is the end of the header seen? A line that may still become a field has not ended it."""
    text = start.partition(CRLF)[2] if start.startswith(b"From ") else start
    end = find_header_end(text)
    return CRLF in text[end:] or text[:end].endswith(CRLF + CRLF) or text[:end] == CRLF


def _told(options: SendmailOptions, resolved: _Resolved, queue_id: str = "") -> Submission:
    """What the caller sees of bad recipients, by error mode."""
    code = EX_OK if options.errors == "e" else resolved.exit_code
    return _ended(options, code, resolved.complaints if options.errors == "p" else [], queue_id)


# --- who sends


def _reverse_path(options: SendmailOptions, submitter: Submitter, hostname: str) -> str:
    if options.sender is None:
        return f"{submitter.name}@{hostname}"
    path = _sender(options)
    return path if not path or split(path)[1] else f"{path}@{hostname}"


def _sender(options: SendmailOptions) -> str:
    """The address that -f names, as it was written or out of a `Phrase <address>`."""
    given = options.sender or ""
    if not given:
        return ""
    try:
        return parse_path(given, allow_utf8=True)
    except AddressError as error:
        value = given.encode("utf-8", "surrogateescape")
        found = addresses(value)
        if len(found) != 1 or unread(value):
            raise _Refused(EX_USAGE, f"{given}... {error}") from error
        return found[0]


def _arrival(
    intake: Intake,
    options: SendmailOptions,
    submitter: Submitter,
    hostname: str,
    dated: float | None,
    header: bytes,
) -> Arrival:
    own = (submitter.name.lower(), f"{submitter.name}@{hostname}".lower())
    sender = submitter.name if options.sender is None else _sender(options)
    is_another = sender.lower() not in own
    warnings: tuple[str, ...] = ()
    if is_another and not intake.trusts(submitter.name):
        warnings = (f"{submitter.name} set sender to {sender or '<>'} using -f",)
    known_name = _name_of(sender, hostname) if is_another else submitter.full_name
    given_name = (first_value(header, b"full-name") or b"").decode("utf-8", "surrogateescape")
    return Arrival(
        origin=trace.user_origin(submitter.name, options.host),
        protocol=options.protocol,
        source=f"local {submitter.name}",
        header_sender=sender,
        full_name=given_name or options.full_name or known_name,
        dated=dated,
        warnings=warnings,
        hops=options.hops,
        is_submission=True,
        is_from_us=True,
    )


def _name_of(sender: str, hostname: str) -> str:
    """The full name of a local user that -f names, "" for anybody else."""
    local, domain = split(sender)
    if domain.lower() not in ("", hostname.lower()):
        return ""
    try:
        return _full_name(pwd.getpwnam(local))
    except (KeyError, ValueError):
        return ""


# --- who gets it


def header_recipients(content: bytes) -> list[str]:
    """Whom `-t` finds in the header of a message with Unix or wire line ends."""
    start, _ = eat_unix_from(ToCrlf().feed(content))
    return _header_recipients(start[: find_header_end(start)])


def _header_recipients(header: bytes) -> list[str]:
    """The addresses of To, Cc and Bcc; of the Resent- ones if there are any (RFC 5322 3.6.6).

    A value that does not follow RFC 5322 (`To: alice bob`) is given as it is, to be divided as a
    word of the command line would be: that is what sendmail does with all of them.
    """
    names: tuple[bytes, ...] = (b"to", b"cc", b"bcc")
    resent = tuple(b"resent-" + name for name in names)
    found = list(fields(header))
    if any(field.name.lower() in resent for field in found):
        names = resent
    given = []
    for field in found:
        if field.name.lower() in names:
            value = header[field.value_start : field.end]
            given += [_unfolded(value)] if unread(value) else addresses(value)
    return given


def _unfolded(value: bytes) -> str:
    return value.replace(CRLF, b"").decode("utf-8", "surrogateescape").strip()


def _resolve(intake: Intake, given: list[str], options: SendmailOptions) -> _Resolved:
    """Whom to queue the message for. Raises: TableError."""
    expansion = intake.expand_words(given, uses_aliases=options.uses_aliases)
    wrong = [complaint for complaint in expansion.complaints if complaint.is_final]
    if expansion.refusal is not None and not expansion.complaints:
        raise _Refused(exit_code(expansion.refusal), str(expansion.refusal))
    recipients = expansion.recipients or tuple(
        Recipient(_subject(complaint.text), mailer="error", host=str(complaint.status))
        for complaint in wrong
    )
    if options.errors == "q":
        recipients = tuple(one for one in recipients if not _is_bad(one))
    return _Resolved(
        tuple(replace(one, notify=options.notify) for one in recipients),
        expansion_exit_code(expansion),
        tuple(complaint.text for complaint in expansion.complaints),
    )


def _is_bad(recipient: Recipient) -> bool:
    """Will it fail for good? One that only cannot be served now is tried again."""
    return recipient.mailer == "error" and recipient.host.startswith("5")


def _subject(complaint: str) -> str:
    """The address that a complaint "FILE: line N: ADDRESS... what is wrong" is about."""
    return complaint.partition("... ")[0].rpartition(": ")[2]


def _envelope(
    options: SendmailOptions, reverse_path: str, recipients: tuple[Recipient, ...]
) -> Envelope:
    return Envelope(
        reverse_path,
        recipients,
        body=options.body,
        smtputf8=not all(map(str.isascii, (reverse_path, *(r.address for r in recipients)))),
        ret=options.ret,
        envid=xtext_encode(options.envid) if options.envid else "",
    )


def _only_name(options: SendmailOptions) -> list[str]:
    """The recipient, if the command line names just one: Received shows it, and no other."""
    words = [word.strip() for word in options.recipients]
    is_one = len(words) == 1 and not any(char in words[0] for char in ",;<( \t")
    return words if is_one else []


# --- delivery that is waited for


async def _tried(intake: Intake, queue_id: str, deliver: Deliver) -> QueuedMessage | None:
    """`-odi` and `-v`: what stays on this machine is tried before we say how it went.

    What goes over a link is queued for good, which is all that can be said at once.
    """
    try:
        return await deliver(queue_id)
    except RelaynodeError:
        return None  # it is queued, so it goes on later
    finally:
        intake.on_queued(queue_id, True)


def _waited(
    options: SendmailOptions,
    resolved: _Resolved,
    messages: list[QueuedMessage],
    queue_id: str,
) -> Submission:
    lines = list(resolved.complaints) if options.errors == "p" else []
    code = resolved.exit_code
    for recipient in [recipient for message in messages for recipient in message.recipients]:
        if options.is_verbose and recipient.forward_path.mailer != "error":
            lines.append(f"{recipient.forward_path.address}... {_fate(recipient)}")
        if recipient.state is RecipientState.FAILED and recipient.last_status is not None:
            code = code or exit_code(recipient.last_status)
    return _ended(options, EX_OK if options.errors == "e" else code, lines, queue_id)


def _fate(recipient: QueuedRecipient) -> str:
    status = recipient.last_status
    if recipient.state is RecipientState.DELIVERED:
        return "Sent"
    if recipient.state is RecipientState.FAILED:
        return status.text if status is not None else "failed"
    return f"Deferred: {status.text}" if status is not None else "queued"


# --- what was given


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
