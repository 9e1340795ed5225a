"""Delivery status notifications: the message that says what became of a message.

A DSN is a multipart/report (RFC 3462) of three parts: a text for people, the machine-readable
message/delivery-status (RFC 3464), and the message it is about or only its header. Layout and
wording are sendmail's, which people and filters have known for decades. RFC 3461 says when one is
due; that is decided elsewhere, and so is its way back: the envelope's reverse-path must be null.
The text for people is in one of the languages of `dsn_words`; whatever is in it, what is not ASCII
goes encoded, so that a path of seven bits does not spoil it.

Much of what goes in was said by strangers (replies, ENVID, ORCPT), so each line is cleaned of
control characters and cut before it is written.
"""

from __future__ import annotations

import base64
import quopri
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from relaynode.errors import AddressError
from relaynode.mail.address import join, split
from relaynode.mail.dsn_words import LANGUAGES
from relaynode.mail.header import CRLF, find_header_end
from relaynode.mail.trace import moment, rfc5322_date
from relaynode.mail.xtext import xtext_decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relaynode.mail.dsn_words import Words
    from relaynode.mail.status import Status

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
"""RFC 3464 section 2.3.3."""

MAX_LINE_OCTETS = 900
"""Where a quoted line is cut, so that with what stands around it it stays below the 998 of
RFC 5322 section 2.1.1."""

_MAX_WORD_BYTES = 42
"""RFC 2047 2: an encoded word has 75 characters at most; so many bytes make 56 of them."""

# RFC 2046 5.1.1
_MAX_BOUNDARY = 70

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_IS_8BIT = re.compile(rb"[\x80-\xff]")
_MOSTLY_ASCII = 0.8
"""Texts with so much ASCII in them stay readable as quoted-printable; others go as base64."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What became of one recipient. Called after its commonest use; the action may be another.
    A temporary status under the action "failed" means that we gave up trying.

    `address`: where we tried to deliver. `expanded_from`: what we were given, if an alias or a
    table made `address` of it. `orcpt`: RFC 3461 4.2, "type;xtext", or "". `status`: the last
    reply, the peer's own words if it had any. `remote_mta`: the peer's name, "" if it was us.
    `attempted_at`: epoch seconds. `dialogue`: lines of the session that matter, ">>> " before what
    we sent and "<<< " before what came.
    """

    address: str
    status: Status
    attempted_at: float
    expanded_from: str = ""
    orcpt: str = ""
    remote_mta: str = ""
    dialogue: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A DSN in wire form. `is_8bit`: it must go out with BODY=8BITMIME (RFC 6152)."""

    content: bytes
    is_8bit: bool


_AUTO_SUBMITTED: dict[Action, str] = {
    "failed": "failure",
    "delayed": "warning-timeout",
    "delivered": "return-receipt",
    "relayed": "return-receipt",
    "expanded": "return-receipt",
}
"""The word behind auto-generated (RFC 3834 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What the parts of one DSN are made from; see `build` for the fields."""

    failures: Sequence[Failure]
    reporting_mta: str
    arrived_at: float
    envid: str
    from_text: str
    now: float
    utc_offset_minutes: int
    action: Action
    retry_until: float | None
    words: Words

    @property
    def age(self) -> str:
        return self.words.span(self.now - self.arrived_at)

    @property
    def subject(self) -> str:
        words = self.words
        if self.action == "failed":
            return words.failed_subject
        return words.delayed_subject if self.action == "delayed" else words.receipt_subject

    @property
    def heading(self) -> str:
        if self.action == "delayed":
            return ""
        is_failed = self.action == "failed"
        return self.words.failed_heading if is_failed else self.words.receipt_heading

    @property
    def outcome(self) -> str:
        """Behind an address, below the heading."""
        words = self.words
        said = {"delivered": words.delivered, "relayed": words.relayed, "expanded": words.expanded}
        return f"  ({said[self.action]})" if self.action in said else ""

    @property
    def outcome_in_transcript(self) -> str:
        words = self.words
        return {
            "delivered": words.delivered_transcript,
            "relayed": words.relayed_transcript,
        }.get(self.action, words.expanded_transcript)

    def date(self, when: float) -> str:
        return rfc5322_date(when, self.utc_offset_minutes)


def build(
    failures: Sequence[Failure],
    *,
    reporting_mta: str,
    queue_id: str,
    arrived_at: float,
    envid: str = "",
    original: bytes,
    original_is_complete: bool,
    reverse_path: str,
    from_text: str,
    now: float,
    utc_offset_minutes: int = 0,
    action: Action = "failed",
    retry_until: float | None = None,
    for_postmaster: bool = False,
    language: str = "en",
) -> Notice:
    """Build one DSN for recipients of one message that share an action.

    `reporting_mta`: our host name. `queue_id`: the DSN's own. `arrived_at`: when the message came
    to us. `envid`: RFC 3461 4.4, as xtext. `original`: the message in wire form, at least its
    header; `original_is_complete` says that all of it is there and shall be returned (RET=FULL).
    Large messages should come as a header only, since the DSN is one value in memory.
    `reverse_path`: whom to tell. `from_text`: where the message came from, "from alice@localhost".
    `retry_until`: for "delayed", when we shall give up. `for_postmaster`: it tells of a DSN that
    could not be delivered. `language`: one of dsn_words.LANGUAGES. All times in epoch
    seconds. Received lines are the caller's.

    Raises: ValueError without failures, or for the null reverse-path (RFC 5321 section 6.1).
    """
    if not failures or not reverse_path:
        raise ValueError("a DSN needs a failure and somebody to be told")
    report = _Report(
        failures=failures,
        reporting_mta=reporting_mta,
        arrived_at=arrived_at,
        envid=envid,
        from_text=from_text,
        now=now,
        utc_offset_minutes=utc_offset_minutes,
        action=action,
        retry_until=retry_until,
        words=LANGUAGES[language],
    )
    returned = original if original_is_complete else _header_only(original)
    is_8bit = _IS_8BIT.search(returned) is not None
    parts = (
        text_part(_people_lines(report)),
        b"Content-Type: message/delivery-status\r\n\r\n" + _status_part(report),
        _returned_part(returned, original_is_complete, is_8bit),
    )
    boundary = _boundary(f"{queue_id}.{int(now)}/{reporting_mta}", parts)
    header = _header(report, queue_id, reverse_path, boundary, is_8bit, for_postmaster)
    delimiter = b"--" + boundary.encode("ascii")
    content = b"".join(
        (
            header,
            b"\r\nThis is a MIME-encapsulated message\r\n\r\n",
            *(delimiter + CRLF + part + CRLF for part in parts),
            delimiter + b"--\r\n",
        )
    )
    return Notice(content, is_8bit or not reverse_path.isascii())


def _header(
    report: _Report,
    queue_id: str,
    reverse_path: str,
    boundary: str,
    is_8bit: bool,
    for_postmaster: bool,
) -> bytes:
    host = report.reporting_mta
    subject = report.subject.format(age=report.age)
    auto_submitted = _AUTO_SUBMITTED[report.action]
    if for_postmaster:
        subject = report.words.postmaster_subject
        auto_submitted = "postmaster-notification"
    lines = [
        f"Date: {report.date(report.now)}",
        f"From: Mail Delivery Subsystem <MAILER-DAEMON@{host}>",
        f"Message-Id: <{moment(report.now):%Y%m%d%H%M}.{queue_id}@{host}>",
        f"To: {_CONTROL.sub(' ', reverse_path)}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
        *(["Content-Transfer-Encoding: 8bit"] if is_8bit else []),
        f"Subject: {encoded_words(subject)}",
        f"Auto-Submitted: auto-generated ({auto_submitted})",  # RFC 3834 5
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")


def _boundary(wish: str, parts: Sequence[bytes]) -> str:
    """A boundary close to `wish` that occurs nowhere in the parts (RFC 2046 section 5.1.1)."""
    stem = re.sub(r"[^A-Za-z0-9./_-]", "_", wish)[:_MAX_BOUNDARY]
    boundary, attempt = stem, 0
    while any(boundary.encode("ascii") in part for part in parts):
        attempt += 1
        suffix = f".{attempt}"
        boundary = stem[: _MAX_BOUNDARY - len(suffix)] + suffix
    return boundary


# ---- for people --------------------------------------------------------------------------------


def _people_lines(report: _Report) -> Iterator[str]:
    words = report.words
    if report.action == "delayed":
        yield from words.warning_box
    yield words.received.format(date=report.date(report.arrived_at))
    yield report.from_text
    yield ""
    yield from _summary(report)
    yield f"   ----- {words.transcript_heading} -----"
    yield from _transcript(report)
    yield from _prospect(report)


def _summary(report: _Report) -> Iterator[str]:
    words = report.words
    if not report.heading:
        return
    yield f"   ----- {report.heading} -----"
    for failure in report.failures:
        yield _shown(failure.address) + report.outcome
        if report.action == "failed" and not failure.status.is_temporary:
            yield f"    ({words.reason.format(text=failure.status)})"
        if failure.expanded_from:
            yield f"    ({words.expanded_from.format(address=_shown(failure.expanded_from))})"
    yield ""


def _transcript(report: _Report) -> Iterator[str]:
    talking_to = ""
    for failure in report.failures:
        if failure.dialogue and failure.remote_mta and failure.remote_mta != talking_to:
            talking_to = failure.remote_mta
            yield report.words.talking_to.format(host=_as_spoken(talking_to))
        yield from failure.dialogue
        yield _verdict(failure, report)


def _verdict(failure: Failure, report: _Report) -> str:
    status, address = failure.status, _shown(failure.address)
    if report.action == "delayed" or (report.action == "failed" and status.is_temporary):
        return f"{address}... {report.words.deferred.format(text=status.text)}"
    if report.action == "failed":
        codes = f"{status.code} {status.enhanced}".rstrip()
        return f"{codes} {address}... {status.text}"
    return f"{address}... {report.outcome_in_transcript}"


def _as_spoken(host: str) -> str:
    """A name with the dot that marks it as final; an address literal as it is."""
    return host if host.endswith((".", "]")) else f"{host}."


def _prospect(report: _Report) -> Iterator[str]:
    """How it goes on with mail that could not be delivered in time."""
    words = report.words
    if report.action == "delayed":
        yield words.still_undelivered.format(age=report.age)
        if report.retry_until is None:
            yield words.keep_trying
        else:
            limit = words.span(report.retry_until - report.arrived_at)
            yield words.keep_trying_until.format(limit=limit)
    elif _gave_up(report):
        yield words.gave_up.format(age=report.age)
        yield words.deleted


def _gave_up(report: _Report) -> bool:
    """Whether mail is returned although the last replies said that they may pass."""
    return report.action == "failed" and any(f.status.is_temporary for f in report.failures)


def text_part(lines: Iterable[str]) -> bytes:
    """A text for people with its header: plain if it is ASCII, else UTF-8 and encoded so that it
    survives a path of seven bits."""
    cleaned = [_CONTROL.sub(" ", line).rstrip() for line in lines]
    if all(map(str.isascii, cleaned)):
        return CRLF + _lines(cleaned)
    data = b"".join(_cut(line) + CRLF for line in cleaned)
    ascii_bytes = sum(byte < 0x80 for byte in data)
    if ascii_bytes < _MOSTLY_ASCII * len(data):
        name, coded = b"base64", base64.encodebytes(data).replace(b"\n", CRLF)
    else:
        coded = quopri.encodestring(data.replace(CRLF, b"\n")).replace(b"\n", CRLF)
        name = b"quoted-printable"
    return (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
        + name
        + CRLF
        + CRLF
        + coded
    )


def _cut(line: str) -> bytes:
    data = line.encode("utf-8", "backslashreplace")[:MAX_LINE_OCTETS]
    return data.decode("utf-8", "ignore").encode()  # no half character


def encoded_words(text: str) -> str:
    """A text for a header field: as it is, or in words of RFC 2047."""
    if text.isascii():
        return text
    words, chunk = [], ""
    for character in text:
        if len((chunk + character).encode()) > _MAX_WORD_BYTES:
            words.append(chunk)
            chunk = ""
        chunk += character
    words.append(chunk)
    coded = (base64.b64encode(word.encode()).decode("ascii") for word in words)
    return "\r\n ".join(f"=?UTF-8?B?{word}?=" for word in coded)


def _shown(address: str) -> str:
    """An address as it would be typed: programs and files in quotes, as in an aliases file."""
    return f'"{address}"' if address.startswith(("|", "/")) else address


# ---- for machines ------------------------------------------------------------------------------


def _status_part(report: _Report) -> bytes:
    """The fields of RFC 3464 section 2: some for the message, then a group for each recipient."""
    groups = [_lines(_message_fields(report))]
    groups += [_lines(_recipient_fields(failure, report)) for failure in report.failures]
    return CRLF.join(groups)


def _message_fields(report: _Report) -> Iterator[str]:
    if report.envid:
        yield f"Original-Envelope-Id: {_decoded(report.envid)}"
    yield f"Reporting-MTA: dns; {report.reporting_mta}"
    yield f"Arrival-Date: {report.date(report.arrived_at)}"


def _recipient_fields(failure: Failure, report: _Report) -> Iterator[str]:
    kind, semicolon, original = failure.orcpt.partition(";")
    if semicolon:
        yield f"Original-Recipient: {kind}; {_decoded(original)}"
    given = failure.expanded_from or failure.address
    yield f"Final-Recipient: {_typed(given, 'RFC822', report.reporting_mta)}"
    yield f"X-Actual-Recipient: {_typed(failure.address, 'rfc822', report.reporting_mta)}"
    yield f"Action: {report.action}"
    has_expired = report.action == "failed" and failure.status.is_temporary
    # RFC 3463 3.5, X.4.7: delivery time expired.
    yield f"Status: {'4.4.7' if has_expired else failure.status.dsn_status}"
    if failure.remote_mta:
        yield f"Remote-MTA: DNS; {failure.remote_mta}"
    yield f"Diagnostic-Code: SMTP; {failure.status}"
    yield f"Last-Attempt-Date: {report.date(failure.attempted_at)}"
    if report.action == "delayed" and report.retry_until is not None:
        yield f"Will-Retry-Until: {report.date(report.retry_until)}"


def _decoded(xtext: str) -> str:
    try:
        return xtext_decode(xtext)
    except AddressError:  # a peer's mistake must not keep its DSN from being made
        return xtext


def _typed(address: str, mail_type: str, hostname: str) -> str:
    """An address with its type (RFC 3464 section 2.1.2), qualified with our name if it has none."""
    if address.startswith(("|", "/")):
        return f"X-Unix; {address}"
    local, domain = split(address)
    full = join(local, domain or hostname)
    if full.isascii():
        return f"{mail_type}; {full}"
    # RFC 6533 3: the form for a DSN that is not itself internationalised.
    coded = re.sub(r"[^!-*,-<>-\[\]-~]", lambda match: f"\\x{{{ord(match.group()):02X}}}", full)
    return f"utf-8; {coded}"


# ---- the message itself ------------------------------------------------------------------------


def _header_only(original: bytes) -> bytes:
    """The header without the empty line that ends it."""
    header = original[: find_header_end(original)]
    return header[:-2] if header.endswith(CRLF + CRLF) else header


def _returned_part(returned: bytes, is_complete: bool, is_8bit: bool) -> bytes:
    kind = b"message/rfc822" if is_complete else b"text/rfc822-headers"
    encoding = b"Content-Transfer-Encoding: 8bit\r\n" if is_8bit else b""
    line_end = b"" if returned.endswith(CRLF) else CRLF
    return b"Content-Type: " + kind + CRLF + encoding + CRLF + returned + line_end


def _lines(lines: Iterable[str]) -> bytes:
    """Lines of ASCII, cleaned, cut and ended."""
    return b"".join(_clean(line) + CRLF for line in lines)


def _clean(line: str) -> bytes:
    plain = _CONTROL.sub(" ", line).rstrip()
    return plain.encode("ascii", "backslashreplace")[:MAX_LINE_OCTETS]
