"""Whose mail it is that came into one mailbox for many, by the marks that its server left in it.

    X-Envelope-To: mbox-ann@example.org     the envelope's recipients, if the server writes them
    Received: from a by pop.example.net     not there: whom the server says it took the mail for
        for <ann@example.org>; ...
    To: Friends <ann@example.org>           not there either, and the settings allow it: whom it is
                                            addressed to, a guess only (lists, blind copies)

Anybody may have written any of it. So a name in a header only chooses among the names that the
settings have for this mailbox: `names`, and with `others_as_they_are` plain names of this machine,
and addresses in `local_domains`; never another domain, a program, or a route. How much is read is
bounded. Not here: who gets what nobody is found for (polls/fetched.py), and what a local name
stands for (`expand.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from relaynode.mail.address import MAX_PATH_OCTETS, normalise_domain, scan, split
from relaynode.mail.header import fields, unfolded
from relaynode.mail.hops import hop_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from relaynode.mail.header import Field

MAX_ADDRESSES = 100
"""So many addresses of a message are looked at; a server that writes one line for each recipient
writes fewer, and a header with more is somebody's game."""

MAX_DOUBTS = 10
"""So many are told; the rest is counted."""

RECEIVED = "Received"

_ADDRESSEES = (b"to", b"cc", b"bcc", b"apparently-to")
_RESENT = (b"resent-to", b"resent-cc", b"resent-bcc")

# No quotes, no "%", "!", ":", "|", "/" or "@": nothing that leads on, is run, or is written to.
_LABELS = r"[A-Za-z0-9_-]{1,63}"
_DOMAIN = re.compile(rf"{_LABELS}(?:\.{_LABELS}){{0,20}}")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=&#'-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Multidrop:
    """The settings of one mailbox for many; domains and the keys of `names` in any case.

    `server`, `aka`: what the mailbox's server is called. `local_domains`: whose addresses, and
    those of domains below, are passed on as they are. `names`: a name at the server -> whom it
    stands for here. `others_as_they_are`: other names at the server are names here.
    `envelope_header`: where the server writes the recipient, "Received", or "" for nowhere; of its
    copies the first `envelope_skip` are somebody else's. `user_prefix`: what it puts before names
    there. `uses_addressees`: look at To and Cc where all else fails. `is_server`: is this domain
    another name of the server? Asked last.
    """

    server: str
    aka: tuple[str, ...] = ()
    local_domains: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    others_as_they_are: bool = False
    envelope_header: str = RECEIVED
    envelope_skip: int = 0
    user_prefix: str = ""
    uses_addressees: bool = False
    is_server: Callable[[str], bool] = lambda domain: False

    def find(self, header: bytes) -> Found:
        """Whose mail it is."""
        return _Search(self, header).find()


@dataclass(frozen=True, slots=True)
class Found:
    """`recipients`: addresses of ours, each once; none if nobody was found. `by`: the field that
    told. `doubts`: what is odd or uncertain about it, for people."""

    recipients: tuple[str, ...]
    by: str = ""
    doubts: tuple[str, ...] = ()


class _Search:
    def __init__(self, settings: Multidrop, header: bytes) -> None:
        self._settings = settings
        self._header = header
        self._doubts: list[str] = []
        self._hosts = {normalise_domain(name) for name in (settings.server, *settings.aka)}
        self._domains = {normalise_domain(name.lstrip(".")) for name in settings.local_domains}
        self._names = {name.lower(): whom for name, whom in settings.names.items()}

    def find(self) -> Found:
        by, addresses = self._told()
        return Found(self._ours(by, addresses), by, self._doubts_told())

    def _doubts_told(self) -> tuple[str, ...]:
        told, rest = self._doubts[:MAX_DOUBTS], len(self._doubts) - MAX_DOUBTS
        return (*told, f"and {rest} more") if rest > 0 else tuple(told)

    def _told(self) -> tuple[str, list[str]]:
        """The field that tells of recipients, the surest that is there, and the addresses in it.

        What it says holds, even if that is nobody of ours: To may name somebody else.
        """
        wanted = self._settings.envelope_header
        if wanted and wanted.lower() != RECEIVED.lower():
            found = self._envelope(wanted.encode("ascii", "replace"))
            if found is not None:
                return wanted, found
            self._doubts.append(f"it has no {wanted}")
        if wanted:
            received = self._received()
            if received:
                return RECEIVED, [received]
            hosts = ", ".join(sorted(self._hosts))
            self._doubts.append(f"no Received line of {hosts} says whom it is for")
        if not self._settings.uses_addressees:
            return "", []
        self._doubts.append("taken from those it is addressed to, which is a guess")
        return "To", self._addressees()

    def _envelope(self, name: bytes) -> list[str] | None:
        """The addresses of that field; None where it is not there.

        A server may write a line for each recipient, one below the other. What stands further
        down was written by others.
        """
        all_fields = tuple(fields(self._header))
        places = [number for number, one in enumerate(all_fields) if one.is_named(name)]
        places = places[self._settings.envelope_skip :]
        if not places:
            return None
        first = places[0]
        together = [place for number, place in enumerate(places) if place == first + number]
        return [
            self._without_prefix(address)
            for address in self._addresses(all_fields[place] for place in together)
        ]

    def _without_prefix(self, address: str) -> str:
        prefix = self._settings.user_prefix
        return address[len(prefix) :] if address.lower().startswith(prefix.lower()) else address

    def _received(self) -> str:
        """Whom the server took it for, by the topmost line of its own that says so; "" if none."""
        lines = (one for one in fields(self._header) if one.is_named(b"received"))
        for line in islice(lines, self._received_skip(), MAX_ADDRESSES):
            hop = hop_of(unfolded(self._header, line))
            if hop.recipient and self._is_server(hop.by):
                return self._without_prefix(hop.recipient)
        return ""

    def _received_skip(self) -> int:
        wanted = self._settings.envelope_header.lower()
        return self._settings.envelope_skip if wanted == RECEIVED.lower() else 0

    def _addressees(self) -> list[str]:
        named = [one for one in fields(self._header) if one.name.lower() in _RESENT]
        if not named:  # RFC 5322 3.6.6: who sent it again tells to whom
            named = [one for one in fields(self._header) if one.name.lower() in _ADDRESSEES]
        return list(self._addresses(named))

    def _addresses(self, among: Iterable[Field]) -> Iterator[str]:
        found = (
            mailbox.address
            for one in among
            for mailbox in scan(self._header[one.value_start : one.end])
        )
        yield from islice(found, MAX_ADDRESSES)
        if next(found, None) is not None:
            self._doubts.append(f"only the first {MAX_ADDRESSES} addresses are looked at")

    # --- whom an address stands for

    def _ours(self, by: str, addresses: list[str]) -> tuple[str, ...]:
        found: dict[str, str] = {}
        for address in addresses:
            whom = self._whom(address)
            if whom:
                found.setdefault(whom.lower(), whom)
            else:
                self._doubts.append(f"{by} names {address[:80]}, who is nobody here")
        return tuple(found.values())

    def _whom(self, address: str) -> str:
        """ "" if it is nobody of ours."""
        if len(address) > MAX_PATH_OCTETS:
            return ""
        local, domain = split(address)
        domain = normalise_domain(domain)
        if self._is_local(domain):
            is_plain = _PLAIN.fullmatch(local) and _DOMAIN.fullmatch(domain)
            return address.removesuffix(".") if is_plain else ""
        if domain and not self._is_server(domain):
            return ""
        named = self._names.get(local.lower())
        if named is not None:
            return named
        return local if self._settings.others_as_they_are and _PLAIN.fullmatch(local) else ""

    def _is_local(self, domain: str) -> bool:
        labels = domain.split(".")
        above = (".".join(labels[number:]) for number in range(len(labels)))
        return bool(self._domains) and any(name in self._domains for name in above)

    def _is_server(self, name: str) -> bool:
        name = normalise_domain(name)
        return bool(name) and (name in self._hosts or self._settings.is_server(name))
