"""The texts that a DSN is made of, whatever the language. No text holds a line end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Texts; those with braces are filled in.

    `{age}`, `{limit}`: a length of time. `{date}`: as in a header. `{source}`: where a message came
    from. `{host}`: a host's name. `{address}`: a mail address. `{text}`: a server's own words.
    `units`: days, hours, minutes and seconds, each as for one and for more.
    """

    failed_subject: str
    delayed_subject: str
    receipt_subject: str
    postmaster_subject: str
    poison_subject: str

    warning_box: tuple[str, ...]
    received: str
    source: str

    failed_heading: str
    receipt_heading: str
    transcript_heading: str
    reason: str
    expanded_from: str
    talking_to: str
    deferred: str

    delivered: str
    relayed: str
    expanded: str
    delivered_transcript: str
    relayed_transcript: str
    expanded_transcript: str

    still_undelivered: str
    keep_trying: str
    keep_trying_until: str
    gave_up: str
    deleted: str

    poison: tuple[str, ...]
    """Of a message that was set aside: with `{queue_id}` and `{sender}`."""

    units: tuple[tuple[str, str], tuple[str, str], tuple[str, str], tuple[str, str]]

    def span(self, seconds: float) -> str:
        """A length of time in its largest unit: "4 hours"."""
        for (one, more), length in zip(self.units, (86400, 3600, 60, 1), strict=True):
            number = int(seconds) // length
            if number >= 1:
                return (one if number == 1 else more).format(number)
        return self.units[-1][1].format(0)
