"""The status of a delivery, an SMTP command or a whole visit: code, enhanced code and text.

RFC 5321 section 4.2 gives the three-digit codes, RFC 3463 the enhanced ones. A `Status` is what
mailers report, what the queue keeps, and what a DSN quotes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """One reply in the sense of RFC 5321 section 4.2.

    `code`: 200..599. `enhanced`: "D.S.N" (RFC 3463) or "" when the peer gave none.
    `text`: for people, one line, fit for strangers.
    """

    code: int
    enhanced: str
    text: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_temporary(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return 500 <= self.code < 600

    @property
    def dsn_status(self) -> str:
        """The enhanced code, or the plain one that RFC 3463 section 3.1 gives its class."""
        return self.enhanced or f"{self.code // 100}.0.0"

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


def ok(text: str, enhanced: str = "2.0.0") -> Status:
    """The status of something that was done."""
    return Status(250, enhanced, text)


def temporary(text: str, enhanced: str = "4.0.0", code: int = 451) -> Status:
    """The status of something that may work later."""
    return Status(code, enhanced, text)


def permanent(text: str, enhanced: str = "5.0.0", code: int = 554) -> Status:
    """The status of something that will never work."""
    return Status(code, enhanced, text)
