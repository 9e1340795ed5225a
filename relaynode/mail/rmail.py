"""The lines on top of a message for rmail: who sent it, and over which hops (RFC 976 section 2.4).

    From alice Sat Nov 21 10:05:00 2026 remote from alpha      put there by the last hop
    >From x!carl Sat Nov 21 10:01:00 2026 remote from gamma    by the one before it
    >From carl Sat Nov 21 10:00:00 2026 forwarded by delta     adds no hop
    Received: ...                                              the message

The sender is hosts and address, from the top line down: `alpha!gamma!carl`. Three things are not
as sendmail's rmail has them. An address with a domain (`carl@example.org`) is the sender alone:
the hosts on the way say nothing more. `<>`, MAILER-DAEMON and no address at all are the null
reverse-path; `alpha!<>` would be answered. And the first hop is the neighbour that the line knows;
`remote from` is what somebody wrote, so it cannot stand in for another: from neighbour beta,
`remote from alpha` makes `beta!alpha!alice`.

Not here: the program (sources/rmail.py) and its recipients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relaynode.errors import EX_DATAERR, AddressError, RelaynodeError
from relaynode.mail.address import split
from relaynode.mail.bangpath import is_nobody, read_path, seen_from

MAX_OPENING_BYTES = 16 * 1024
"""Of all these lines together: a hundred hops, and more than any way has."""

_START = re.compile(rb">?From ")
_LONGEST_START = b">From "
_REMOTE = re.compile(r"(?:^|[ \t])remote[ \t]+from(?:[ \t]+(\S+))?[ \t]*\Z")
_FORWARDED = re.compile(r"(?:^|[ \t])forwarded[ \t]+by\b.*\Z")
_ADDRESS = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+|')
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?[ \t]+"
    r"(?:\d|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
)
"""With a date in its place, the address is empty."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class BadOpening(RelaynodeError):
    """The message does not begin as it must; str() is what to tell whoever brought it."""

    exit_code = EX_DATAERR


@dataclass(frozen=True, slots=True)
class Opening:
    """`reverse_path`: the sender, NULL_PATH for none. `size_bytes`: what the lines take."""

    reverse_path: str
    size_bytes: int


def read_opening(start: bytes, neighbour: str, *, is_whole: bool) -> Opening | None:
    """Read the lines at the start of a message; None if more of it is needed to tell their end.

    `neighbour`: who brought it, "" if that is not known. `is_whole`: `start` is all of it. Lines
    end with LF or CRLF. What follows the first line that is none of them is the message's own, a
    `>From ` in it too.

    Raises: BadOpening.
    """
    lines: list[str] = []
    position = 0
    while (end := _line_end(start, position, is_whole)) is not None:
        if end == position:
            return Opening(_reverse_path(lines, neighbour), position)
        lines.append(start[position:end].rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
        position = end
    if len(start) > MAX_OPENING_BYTES:
        raise BadOpening("the From lines are too long")
    return None


def _line_end(start: bytes, position: int, is_whole: bool) -> int | None:
    """Behind the From line that begins there; there, if none does; None if that cannot be told."""
    if not _START.match(start, position):
        rest = start[position : position + len(_LONGEST_START)]
        may_become = _LONGEST_START.startswith(rest) or _LONGEST_START[1:].startswith(rest)
        return None if may_become and not is_whole else position
    end = start.find(b"\n", position) + 1
    if end:
        return end
    return len(start) if is_whole else None


def _reverse_path(lines: list[str], neighbour: str) -> str:
    if not lines or not any(line.partition("From ")[2].strip() for line in lines):
        raise BadOpening("missing or empty From line")
    read = [_host_and_address(line.partition("From ")[2]) for line in lines]
    hosts = [host for host, _ in read if host]
    address = read[-1][1]
    if is_nobody(address):
        return ""
    try:
        path = read_path(address)
        if not split(path)[1]:
            path = read_path(seen_from("!".join([*hosts, path]), neighbour))
    except AddressError as error:
        raise BadOpening(f"bad sender in From line: {error}") from error
    return path


def _host_and_address(text: str) -> tuple[str, str]:
    """Of one line behind its `From `: the host it adds, "" for none, and the address it names."""
    host = ""
    if remote := _REMOTE.search(text):
        host = remote[1] or ""
        if host and not _HOST.fullmatch(host):
            raise BadOpening("bad host in From line")
        text = text[: remote.start()]
    elif forwarded := _FORWARDED.search(text):
        text = text[: forwarded.start()]
    text = text.strip()
    if _DATE.match(text):
        return host, ""
    found = _ADDRESS.match(text)
    return host, found[0] if found else ""


def from_line(sender: str, date_text: str, host: str = "") -> str:
    """The line that a message for a neighbour's rmail begins with, without its end.

    `date_text`: as ctime(3) writes it. `host`: us, for `remote from`; "" for a line without it, as
    mailers that write domain addresses have it. A sender that is a bang path names the host itself.
    """
    if not host:
        return f"From {sender} {date_text}"
    first, bang, rest = sender.partition("!")
    if bang:
        host, sender = first, rest
    return f"From {sender}  {date_text} remote from {host}"
