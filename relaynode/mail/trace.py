"""Trace fields: the Received line that every hop puts on top (RFC 5321 section 4.4), and dates.

The layout is sendmail's, three lines:

    Received: from pc10.lan (pc10.lan.example.org [192.0.2.10])
            by gate.example.org (relaynode 1.0) with ESMTP id 6ALGbPYc019600
            for <bob@example.org>; Sat, 21 Nov 2026 16:37:25 +0000

Much of it was said by strangers, so every such word is cleaned before it is written: no control
bytes, no blanks, nothing that could open or close a comment, an address or the line itself.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from relaynode.mail.header import count

MAX_WORD_OCTETS = 255
"""Longest host or user name written to a Received line; keeps it below 998 (RFC 5322 2.1.1)."""

_UNSAFE = re.compile(r"[^!#-'*+\--:=?-\[\]-~]")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=64)  # a client has many messages
def smtp_origin(
    helo: str,
    client_name: str,
    address: str,
    *,
    may_be_forged: bool = False,
    is_authenticated: bool = False,
) -> str:
    """Where a message from an SMTP client came from.

    `helo`: what it called itself. `client_name`: what DNS calls it, "" if nothing. `address`: its
    IP address, IPv4 or IPv6. `may_be_forged`: that name does not lead back to the address.
    `is_authenticated`: it has logged in; as whom is nobody's business on the mail's way.
    """
    verified = f"{_word(client_name)} " if client_name else ""
    forged = " (may be forged)" if may_be_forged else ""
    login = "\r\n\t(authenticated bits=0)" if is_authenticated else ""
    return f"from {_word(helo)} ({verified}{_literal(address)}{forged}){login}"


def user_origin(user: str, host: str = "") -> str:
    """Where a message that a local user submitted came from.

    `host`: the machine that he says it comes from (`sendmail -pUUCP:horus`), or "".
    """
    if host:
        return f"from {_word(host)} ({_word(user)}@localhost)"
    return f"(from {_word(user)}@localhost)"


def poll_origin(host: str, address: str = "") -> str:
    """Where a message fetched from a mailbox came from: the server's name and IP address."""
    return f"from {_word(host)}" + (f" {_literal(address)}" if address else "")


def uucp_origin(neighbour: str) -> str:
    """Where a message came from that a UUCP neighbour brought: who that is was proved at login."""
    return f"from {_word(neighbour)}"


def own_origin() -> str:
    """Where a message that this program made (a DSN) came from."""
    return "from localhost (localhost)"


def received(
    origin: str,
    *,
    by: str,
    program: str,
    queue_id: str,
    now: float,
    utc_offset_minutes: int = 0,
    protocol: str = "",
    recipient: str = "",
    is_submission: bool = False,
    tls: str = "",
) -> bytes:
    """A whole Received field, final CRLF included.

    `origin`: made by one of the *_origin functions. `by`: our host name. `program`: our name and
    version, shown in parentheses. `protocol`: ESMTP, SMTP, ESMTPA, ESMTPS, POP3 ..., "" for mail
    that came by none. `recipient`: the forward-path if the message has exactly one, else "". A
    recipient that holds characters unfit for this place is left out. `is_submission`: it was named
    on a command line, not in the brackets of a RCPT command. `now`: epoch seconds. `tls`: what the
    line to the client was ("version=TLSv1.3 cipher=..."), or "".
    """
    # The protocol is a word of strangers too: `sendmail -p` takes any.
    with_protocol = f" with {_word(protocol)}" if protocol else ""
    by_line = f"by {by} ({program}){with_protocol} id {queue_id}"
    by_line += f"\r\n\t({tls})" if tls else ""
    date = rfc5322_date(now, utc_offset_minutes)
    # RFC 5321 7.2: naming one of several recipients would disclose blind copies.
    if recipient and not _UNSAFE.search(recipient) and len(recipient) <= MAX_WORD_OCTETS:
        path = recipient if is_submission or not protocol else f"<{recipient}>"
        last_lines = f"\r\n\tfor {path}; {date}"
    else:
        last_lines = f";\r\n\t{date}"
    return f"Received: {origin}\r\n\t{by_line}{last_lines}\r\n".encode("ascii", "replace")


def count_received(header: bytes) -> int:
    """How many hops the message has behind it (RFC 5321 section 6.3, loop detection)."""
    return count(header, b"received")


def rfc5322_date(now: float, utc_offset_minutes: int = 0) -> str:
    """The moment `now` (epoch seconds) as RFC 5322 section 3.3 writes it.

    `utc_offset_minutes`: local time less UTC, between -1439 and 1439.
    """
    return _date(int(now), utc_offset_minutes)


@lru_cache(maxsize=16)  # many messages come in one second
def _date(seconds: int, utc_offset_minutes: int) -> str:
    local = moment(seconds, utc_offset_minutes)
    sign = "-" if utc_offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(utc_offset_minutes), 60)
    return (
        f"{_DAYS[local.weekday()]}, {local.day} {_MONTHS[local.month - 1]} {local.year:04} "
        f"{local:%H:%M:%S} {sign}{hours:02}{minutes:02}"
    )


def moment(now: float, utc_offset_minutes: int = 0) -> datetime:
    """Epoch seconds as a date and time of day in a zone that many minutes ahead of UTC."""
    zone = timezone(timedelta(minutes=utc_offset_minutes))
    return (_EPOCH + timedelta(seconds=int(now))).astimezone(zone)


def _word(text: str) -> str:
    return _UNSAFE.sub("?", text[:MAX_WORD_OCTETS]) or "unknown"


def _literal(address: str) -> str:
    # RFC 5321 4.1.3
    inside = _word(address.removeprefix("[").removesuffix("]"))
    if ":" in inside and not inside.lower().startswith("ipv6:"):
        inside = f"IPv6:{inside}"
    return f"[{inside}]"
