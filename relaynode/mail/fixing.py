"""What submitted mail lacks or should not have: Date, From, Message-Id; Bcc, Return-Path.

RFC 6409 section 8 allows a submission server to add and remove such fields; which ones, their
order and their forms are sendmail's:

    Resent-Date: Date: Resent-From: From: Resent-Message-Id: Message-Id:

What is there and empty counts as missing. The lines are put in front of the header as it came,
which is otherwise left alone.
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import datetime, timedelta, timezone

from relaynode.mail.header import CRLF, fields, first_value, names, remove
from relaynode.mail.trace import moment, rfc5322_date

SUBMISSION_REMOVED = (b"bcc", b"resent-bcc", b"return-path", b"full-name")
"""Fields that a submission may have and a message on its way must not: Bcc would disclose its
recipients, Return-Path is for the final mailer to write (RFC 5321 section 4.4), and Full-Name only
tells us what to put into From."""

MAX_FULL_NAME = 200
"""Longest full name used in From, in characters."""

_DROPPED_IF_EMPTY = frozenset(
    (b"date", b"from", b"message-id", b"resent-date", b"resent-from", b"resent-message-id")
)
"""An empty one says nothing, and would keep us from adding a good one."""

_USUAL = frozenset((b"date", b"from", b"message-id"))
"""What every message has to have."""

_MAILER_DAEMON = "Mail Delivery Subsystem <MAILER-DAEMON>"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]+")
_NEEDS_BACKSLASH = re.compile(r'["\\]')
# RFC 2047 2: at most 75 characters; 36 octets are 48 of base64, and leave room for frame and name.
_ENCODED_WORD_OCTETS = 36

_UNIX_FROM = re.compile(
    rb"From [^\r\n]*?\b(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    rb" +(?P<day>\d{1,2}) +(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    rb"(?: +[A-Za-z]{3,5}| +[+-]\d{4})? +(?P<year>\d{4})\b[^\r\n]*(?:\r\n|\Z)"
)
_MONTHS = (b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split()


def missing_fields(
    header: bytes,
    *,
    now: float,
    utc_offset_minutes: int = 0,
    queue_id: str,
    hostname: str,
    sender: str,
    full_name: str = "",
    dated: float | None = None,
) -> bytes:
    """The fields that `header` lacks, as lines to put in front of it; b"" if it has them all.

    Date, From and Message-Id; with any Resent- field present also Resent-Date, Resent-From and
    Resent-Message-Id (RFC 5322 section 3.6.6). From stays unqualified if `sender` is; "" stands for
    ourselves. The name in it is that of a Full-Name field, else `full_name`. `now` and `dated` are
    epoch seconds; `dated` is the date that `eat_unix_from` found.
    """
    present = names(header)
    is_resent = any(name.startswith(b"resent-") for name in present)
    if not is_resent and _USUAL.issubset(present):
        return b""
    message_id = f"<{moment(now):%Y%m%d%H%M}.{queue_id}@{hostname}>"
    today = rfc5322_date(now, utc_offset_minutes)
    date = today if dated is None else rfc5322_date(dated, utc_offset_minutes)
    mailbox = _from_value(sender, _full_name(header, full_name))
    wanted = (
        (b"Resent-Date", today),
        (b"Date", date),
        (b"Resent-From", mailbox),
        (b"From", mailbox),
        (b"Resent-Message-Id", message_id),
        (b"Message-Id", message_id),
    )
    return b"".join(
        name + b": " + value.encode("utf-8", "surrogateescape") + CRLF
        for name, value in wanted
        if (is_resent or not name.startswith(b"Resent-")) and name.lower() not in present
    )


def clean_submission(header: bytes) -> bytes:
    """The header without the fields that only a submission may have, and without empty ones."""
    return _without_empty(remove(header, SUBMISSION_REMOVED))


def _without_empty(header: bytes) -> bytes:
    for field in reversed(tuple(fields(header))):
        is_empty = not header[field.value_start : field.end].strip()
        if is_empty and field.name.lower() in _DROPPED_IF_EMPTY:
            header = header[: field.start] + header[field.end :]
    return header


def eat_unix_from(content: bytes, *, utc_offset_minutes: int = 0) -> tuple[bytes, float | None]:
    """Take off the line "From SENDER DATE" that mailboxes and rmail put before a message.

    Returns the content without it and the moment it names, in epoch seconds (the line has local
    time), or None if it names none. Without a date it is only taken off where a header follows: it
    may be the first line of a text.
    """
    match = _UNIX_FROM.match(content)
    if not match:
        return _without_dateless(content), None
    try:
        dated = datetime(
            int(match["year"]),
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            int(match["second"] or 0),
            tzinfo=timezone(timedelta(minutes=utc_offset_minutes)),
        )
    except ValueError:  # the 31st of February
        return _without_dateless(content), None
    return content[match.end() :], dated.timestamp()


def _without_dateless(content: bytes) -> bytes:
    if not content.startswith(b"From "):
        return content
    rest = content.partition(CRLF)[2]
    return rest if any(fields(rest)) else content


def _full_name(header: bytes, full_name: str) -> str:
    given = first_value(header, b"full-name")
    return given.decode("utf-8", "surrogateescape") if given else full_name


def _from_value(sender: str, full_name: str) -> str:
    path = _CONTROL.sub("", sender)
    if not path:
        return _MAILER_DAEMON
    name = _CONTROL.sub(" ", full_name).strip()[:MAX_FULL_NAME]
    return f"{phrase(name)} <{path}>" if name else path


def phrase(name: str) -> str:
    """`name` as the phrase before an angle-addr: bare, quoted, or in encoded words (RFC 2047)."""
    if not name.isascii():
        return _encoded_words(name)
    if _ATOMS.fullmatch(name):
        return name
    return '"' + _NEEDS_BACKSLASH.sub(r"\\\g<0>", name) + '"'


def _encoded_words(name: str) -> str:
    try:
        name.encode("utf-8")
        charset = "utf-8"
    except UnicodeEncodeError:  # bytes in an unknown charset, RFC 1428 3
        charset = "unknown-8bit"
    words: list[bytes] = [b""]
    for character in name:
        octets = character.encode("utf-8", "surrogateescape")
        if len(words[-1]) + len(octets) > _ENCODED_WORD_OCTETS:
            words.append(b"")
        words[-1] += octets
    return "\r\n ".join(f"=?{charset}?b?{b64encode(word).decode('ascii')}?=" for word in words)
