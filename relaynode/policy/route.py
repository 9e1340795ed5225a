"""Where an address goes: mailer, host and user, in sendmail's order.

1. A domain of ours, or none: mailer local.
2. The mailertable, which is never asked about domains of ours.
3. The smart host, if there is one.
4. SMTP to the domain itself.

Aliases are not seen here: they are expanded once, when a message is accepted (`expand.py`).
Routes are decided again at each attempt, so that a changed table moves queued mail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.address import normalise_domain, split
from relaynode.mail.status import Status
from relaynode.policy.trail import Step

if TYPE_CHECKING:
    from relaynode.tables.mailertable import Mailertable, Target


@dataclass(frozen=True, slots=True)
class Route:
    """The way for one recipient.

    `mailer`: "smtp", "esmtp", "smtp8", "relay", "local" or "error". `host`: for the SMTP mailers
    the next hop as written ("relay.example.net", "[192.0.2.1]:2525"). `address`: the recipient the
    mailer is given; for local it is a user's name. `smart_host`: the [smart_host.NAME] that `host`
    stands for, or "". `status`: for mailer error, what the sender is told.
    """

    mailer: str
    host: str
    address: str
    smart_host: str = ""
    status: Status | None = None

    def __str__(self) -> str:
        if self.status is not None:
            return f"mailer error, {self.status}"
        host = f", host {self.host}" if self.host else ""
        return f"mailer {self.mailer}{host}, user {self.address}"


@dataclass(frozen=True, slots=True)
class Decision:
    """A route and the trail that led to it."""

    route: Route
    trail: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """What routing knows. Domains in lower case. `smart_host` is a name and its host, or None."""

    local_domains: frozenset[str]
    mailertable: Mailertable
    smart_host: tuple[str, str] | None = None

    def is_local(self, domain: str) -> bool:
        """Is the domain ours ("" is)?"""
        return not domain or normalise_domain(domain) in self.local_domains

    def route(self, address: str) -> Decision:
        """The way for `address` ("local@domain" or "local")."""
        local, domain = split(address)
        domain = normalise_domain(domain)
        if self.is_local(domain):
            step = Step(f"is {domain} ours" if domain else "domain", "yes" if domain else "none")
            return Decision(Route("local", "", unquote(local)), (step,))
        trail = [Step(f"is {domain} ours", "no")]
        if not domain.startswith("["):  # sendmail's mailertable never sees an address literal
            for key in self.mailertable.keys(domain):
                entry = self.mailertable.entries.get(key)
                if entry is None:
                    trail.append(Step(f"mailertable {key}", "no entry"))
                    continue
                place = f"{self.mailertable.file}:{entry.line}"
                trail.append(Step(f"mailertable {key}", entry.value, place))
                target = self.mailertable.target(domain, entry)
                return Decision(_of_target(target, address, local), tuple(trail))
        if self.smart_host is not None:
            name, host = self.smart_host
            trail.append(Step("smart host", f"{name} ({host})"))
            return Decision(Route("relay", host, address, smart_host=name), tuple(trail))
        trail.append(Step("smart host", "none"))
        return Decision(Route("esmtp", domain, address), tuple(trail))


def unquote(local: str) -> str:
    """A local part without the quotes that only the wire needs."""
    if len(local) >= 2 and local[0] == local[-1] == '"':
        return re.sub(r"\\(.)", r"\1", local[1:-1])
    return local


def _of_target(target: Target, address: str, local: str) -> Route:
    if target.mailer == "local":
        return Route("local", "", split(target.host)[0] or unquote(local))
    if target.mailer == "error":
        return Route("error", "", address, status=_error_status(target.host))
    user, at, host = target.host.rpartition("@")
    return Route(target.mailer, host, f"{user}@{host}" if at and user else address)


_KEYWORDS = {
    "usage": (501, "5.5.2"),
    "nouser": (550, "5.1.1"),
    "nohost": (550, "5.1.2"),
    "unavailable": (554, "5.0.0"),
    "software": (554, "5.3.5"),
    "tempfail": (450, "4.0.0"),
    "protocol": (554, "5.5.0"),
    "config": (554, "5.3.5"),
}
"""The words of `error:keyword:text` (sysexits(3) names) and what they stand for."""

_ENHANCED = re.compile(r"([45])\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_CODE = re.compile(r"([45][0-9][0-9])(?:[ -]+|\Z)")


def _error_status(text: str) -> Status:
    """`D.S.N:text`, `keyword:text` or `text`; the text may begin with a reply code."""
    code, enhanced = 554, "5.0.0"
    word, colon, rest = text.partition(":")
    found = _ENHANCED.match(word.strip())
    if colon and found:
        enhanced, text = word.strip(), rest.strip()
        code = 450 if found[1] == "4" else 550
    elif colon and word.strip().lower() in _KEYWORDS:
        code, enhanced = _KEYWORDS[word.strip().lower()]
        text = rest.strip()
    if written := _CODE.match(text):
        code, text = int(written[1]), text[written.end() :]
        if enhanced[0] != written[1][0]:
            enhanced = f"{written[1][0]}.0.0"
    return Status(code, enhanced, text.strip('" ') or "Mail for this domain is refused")
