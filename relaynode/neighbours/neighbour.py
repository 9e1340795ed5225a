"""A neighbour as drivers and policies see it, wherever it was configured.

Neighbour   a UUCP system: its names, and the link it belongs to
├── Way     one way to call it: the line, the login, the hours
├── Mail    how mail goes to it
├── Answer  what holds when it calls, by the login that it uses
└── Terms   what may be done in either case; each way and each answer has its own
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relaynode.config.uucp_values import (
    ALWAYS,
    DEFAULT_COMMAND_PATH,
    DEFAULT_COMMANDS,
    MAIL_GRADE,
    NO_CHAT,
    ChatScript,
    GradeTime,
    SizeLimit,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from relaynode.config.uucp_values import Call, MailGrade, Parameters
    from relaynode.config.values import Password

ANY_SYSTEM = "ANY"
"""In the lists of systems that files are passed on for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is allowed in a session with a neighbour.

    `our_name`: what we call ourselves. `has_sequence`: calls are numbered, and a wrong number is
    refused. `may_fetch`, `may_send`: whether it may ask for our files, or for ours to take its.
    `is_served_when_calling`, `is_served_when_called`: whether jobs of ours are done then.

    The folders are lists: `~` is `public`, `!` excludes, the last one that applies counts.
    `local_*`: for jobs of ours, `remote_*`: for those of the neighbour.

    `commands`: the exact words that it may have executed here. `forward_to`, `forward_from`:
    systems that files are passed on to or fetched from for it. `max_file_seconds`: after which
    another file gets its turn, in i and j; 0: never.
    """

    our_name: str
    public: Path
    has_sequence: bool = False
    may_fetch: bool = True
    may_send: bool = True
    is_served_when_calling: bool = True
    is_served_when_called: bool = True
    size_limits: tuple[SizeLimit, ...] = ()
    local_send: tuple[str, ...] = ("/",)
    remote_send: tuple[str, ...] = ("~",)
    local_receive: tuple[str, ...] = ("~",)
    remote_receive: tuple[str, ...] = ("~",)
    forward_to: tuple[str, ...] = ()
    forward_from: tuple[str, ...] = ()
    commands: tuple[str, ...] = DEFAULT_COMMANDS
    command_path: tuple[str, ...] = DEFAULT_COMMAND_PATH
    min_free_bytes: int = 50_000
    max_file_seconds: int = 0

    def max_bytes(
        self, *, when_calling: bool, by_us: bool, weekday: int, minute: int
    ) -> int | None:
        """The largest file of jobs that are ours or not, at that time of the week; None: any."""
        return min(
            (
                limit.max_bytes
                for limit in self.size_limits
                if (limit.when_calling, limit.by_us) == (when_calling, by_us)
                and limit.times.is_open(weekday, minute)
            ),
            default=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What a neighbour's certificate must be, and what we show it.

    `fingerprints`: SHA-256 of its certificate, in lower-case hexadecimal. `authorities`: files of
    certificates, the neighbour's own among them. `names`: whom a certificate of an authority must
    name. Without either, no certificate can be held to be the neighbour's.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    fingerprints: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def is_demanded(self) -> bool:
        """Must the neighbour show a certificate when it calls?"""
        return bool(self.fingerprints or self.authorities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to call.

    `name`: of the alternate, for the log. `login` and `password` are for the login chat.
    `times`: when it may be called, and for jobs of which grades. `request_grades`: what the
    neighbour is asked to send at most, by time. `protocols`: letters in the order we like them.

    `is_end_to_end`: the network itself resends what is lost, as TCP does.
    """

    call: Call
    terms: Terms
    protocols: str
    name: str = ""
    chat: ChatScript = NO_CHAT
    login: str = ""
    password: Password | None = None
    times: tuple[GradeTime, ...] = ALWAYS
    request_grades: tuple[GradeTime, ...] = ()
    parameters: Parameters = field(default_factory=dict)
    is_end_to_end: bool = False
    is_reliable: bool = True
    is_eight_bit: bool = True
    is_half_duplex: bool = False

    def grade_at(self, weekday: int, minute: int) -> str | None:
        """The lowest grade of jobs that may go now; None if it may not be called at all."""
        return _lowest(self.times, weekday, minute)

    def request_grade_at(self, weekday: int, minute: int) -> str | None:
        """The lowest grade that the neighbour shall send; None: any."""
        return _lowest(self.request_grades, weekday, minute)

    def retry_minutes_at(self, weekday: int, minute: int) -> int | None:
        """How long to wait after a call has failed; None: longer each time."""
        for entry in self.times:
            if entry.times.is_open(weekday, minute):
                return entry.retry_minutes
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What holds when the neighbour calls. `login`: which one it must have used; None: any.

    `is_called_back`: it is sent away, and called. `grades`: what we send it at most, by time;
    where none applies, what it asked for. `protocols`: "" means those that suit the line.
    """

    terms: Terms
    login: str | None = None
    is_called_back: bool = False
    grades: tuple[GradeTime, ...] = ()
    chat: ChatScript = NO_CHAT
    protocols: str = ""
    parameters: Parameters = field(default_factory=dict)

    def grade_at(self, weekday: int, minute: int) -> str | None:
        """The lowest grade of jobs that go now; None: what the neighbour asked for."""
        return _lowest(self.grades, weekday, minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailTerms:
    """How mail goes to a neighbour.

    `is_taylors`: by the system's uux. `batch`: the command that takes batches there, "" for one
    rmail a message. `batch_bytes`: how much goes into a batch, before it is packed; None: as much
    as suits the line. `grades`: by size. `max_bytes`: of a message; None: as for all neighbours.
    """

    is_taylors: bool = False
    batch: str = ""
    batch_bytes: int | None = None
    grades: tuple[MailGrade, ...] = (MAIL_GRADE,)
    max_bytes: int | None = None

    def grade_of(self, size_bytes: int) -> str:
        """The grade of a message of that size."""
        fitting = [one for one in self.grades if size_bytes >= one.from_bytes]
        return max(fitting, key=lambda one: one.from_bytes, default=MAIL_GRADE).grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One system. `place`: where it was configured, `file:line`.

    `ways` are tried in order; none: it is only waited for. `answers`: none: it may not call.
    `max_tries`: failed calls after which it is called once a day. `is_known`: by name,
    and not only as one of the strangers that may call. `poll_minutes`: after which it is called
    again although there is nothing for it; None: never.
    """

    name: str
    place: str
    link: str
    aliases: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    answers: tuple[Answer, ...] = ()
    tls: Tls = Tls()
    mail: MailTerms = MailTerms()
    poll_minutes: int | None = None
    max_tries: int = 26
    success_wait_seconds: int = 0
    is_known: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """All its names."""
        return (self.name, *self.aliases)

    @property
    def all_terms(self) -> list[Terms]:
        """All terms that may hold in a session with it."""
        return [*(one.terms for one in self.answers), *(one.terms for one in self.ways)]

    def answer(self, login: str) -> Answer | None:
        """What holds for a call under that login; None: it must be refused (RLOGIN).

        An answer for just this login comes before one for any.
        """
        for wanted in (login, None):
            for answer in self.answers:
                if answer.login == wanted:
                    return answer
        return None

    def accepts_certificate(
        self, chain: Sequence[bytes], named: Collection[str], trusted: Collection[bytes]
    ) -> bool:
        """Is a certificate, whose verified chain is this, the neighbour's?

        `chain`: DER, the certificate itself first. `named`: the names in it. `trusted`: the
        certificates in its file of authorities.
        """
        if not chain:
            return not self.tls.is_demanded
        if self.tls.fingerprints and fingerprint(chain[0]) not in self.tls.fingerprints:
            return False
        if self.tls.authorities is None or chain[0] in trusted:
            return True
        wanted = {name.lower() for name in self.tls.names}
        is_named = any(name.lower() in wanted for name in named)
        return is_named and any(one in trusted for one in chain[1:])


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER, in lower-case hexadecimal."""
    return hashlib.sha256(certificate).hexdigest()


def _lowest(entries: tuple[GradeTime, ...], weekday: int, minute: int) -> str | None:
    """0 comes before A, A before a, as in ASCII."""
    allowed = [entry.grade for entry in entries if entry.times.is_open(weekday, minute)]
    return max(allowed, default=None)
