"""Three checks of an SMTP session: the client, the sender, each recipient.

They are sendmail's rulesets check_relay, check_mail and check_rcpt with the access table, in its
order and with its replies. Four things differ. A deferred delivery mode does not switch them off:
a node that waits for its line is no open relay. A QUARANTINE does not spare the recipient the relay
check. The DNS is asked only where a setting wants it. And mail for our postmaster is taken whatever
the table says of recipients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relaynode.policy.access_recipient import (
    check_recipient,
    is_always_taken,
    wants_further_checks,
)
from relaynode.policy.access_rules import Delay, Inquiry
from relaynode.policy.access_sender import check_client, check_sender
from relaynode.policy.relay import may_ask_for
from relaynode.policy.syntax import BadAddress
from relaynode.policy.verdict import ACCEPTED, Verdict, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.policy.access_rules import AccessRules
    from relaynode.policy.client import Client


@dataclass(frozen=True, slots=True)
class Gate:
    """The checks for one client. Paths come without brackets, the null path as ""."""

    rules: AccessRules
    client: Client

    @property
    def is_delayed(self) -> bool:
        """Are client and sender checked at each recipient only?"""
        return self.rules.settings.delay_checks is not Delay.NO

    def check_relay(self) -> Verdict:
        """May the client talk to us at all?"""
        return self._known(None, None, self._check_relay)

    def _check_relay(self) -> Verdict:
        inquiry = self._inquiry()
        return ACCEPTED if self.is_delayed else _told(check_client(inquiry), inquiry)

    def check_mail(self, sender: str) -> Verdict:
        """May it send mail from `sender`?"""
        return self._known(sender, None, lambda: self._check_mail(sender))

    def _check_mail(self, sender: str) -> Verdict:
        inquiry = self._inquiry()
        verdict = _syntax(inquiry, sender) if sender else None
        if verdict is None:
            verdict = ACCEPTED if self.is_delayed else check_sender(inquiry, sender, sender)
        return _told(verdict, inquiry)

    def check_rcpt(self, sender: str, recipient: str) -> Verdict:
        """May it send that mail to `recipient`?"""
        return self._known(sender, recipient, lambda: self._check_rcpt(sender, recipient))

    def _check_rcpt(self, sender: str, recipient: str) -> Verdict:
        inquiry = self._inquiry()
        verdict = _syntax(inquiry, recipient)
        if verdict is None and is_always_taken(inquiry, recipient):
            return _told(ACCEPTED, inquiry)
        verdict = verdict or check_recipient(inquiry, sender, recipient)
        if self.is_delayed and not verdict.is_settled:
            verdict = self._delayed(inquiry, sender, recipient)
        return _told(verdict, inquiry)

    def check_etrn(self, domain: str) -> bool:
        """May it have the mail for a domain sent now?"""
        return may_ask_for(self._inquiry(), domain)

    def _delayed(self, inquiry: Inquiry, sender: str, recipient: str) -> Verdict:
        """The checks that were put off until now."""
        if not wants_further_checks(inquiry, recipient):
            return ACCEPTED
        verdict = check_sender(inquiry, sender, inquiry.outside(sender) if sender else "")
        return verdict if verdict.is_settled else check_client(inquiry)

    def _known(
        self, sender: str | None, recipient: str | None, check: Callable[[], Verdict]
    ) -> Verdict:
        """Who comes and writes once does so again, mostly to the same people. What the DNS says may
        change."""
        if self.rules.settings.needs_dns:
            return check()
        known, key = self.rules.known, (self.client, sender, recipient)
        return known.get(key) or known.note(key, check())

    def _inquiry(self) -> Inquiry:
        return Inquiry(self.rules, self.client)


def _syntax(inquiry: Inquiry, address: str) -> Verdict | None:
    found = inquiry.parsed(address)
    if not isinstance(found, BadAddress):
        return None
    code, _, text = found.text.partition(" ")
    return refused(int(code), found.code, text)


def _told(verdict: Verdict, inquiry: Inquiry) -> Verdict:
    return replace(verdict, trail=tuple(inquiry.trail.steps))
