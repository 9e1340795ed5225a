"""Numbered letters between two systems, and whether each came once, unchanged, to whom it was for.

Every system has mail for `user` and `postmaster`; letters differ in size, some are for both, and
some are from nobody, as DSNs are.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.envelope import Envelope
from relaynode.sources.intake import Arrival, Parcel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relaynode.node import Node
    from uucp_node import UucpNode

SENDER = "ann@home.example"
_LETTERS = "abcdefghijklmnopqrstuvwxyz      "


@dataclass(frozen=True)
class Letter:
    """One of them. `domain`: of its recipients. `seed`: others have another text."""

    number: int
    domain: str
    seed: int = 0

    @property
    def sender(self) -> str:
        """The reverse-path, "" for the null one."""
        return "" if self.number % 7 == 3 else SENDER

    @property
    def names(self) -> tuple[str, ...]:
        """Whom it is for, at its domain."""
        return ("user", "postmaster") if self.number % 5 == 2 else ("user",)

    @property
    def recipients(self) -> list[str]:
        """Their addresses."""
        return [f"{name}@{self.domain}" for name in self.names]

    @property
    def body(self) -> bytes:
        """With LF line ends: what could be taken for something else, and some text."""
        chance = random.Random(f"{self.seed} {self.domain} {self.number}")
        text = "".join(chance.choices(_LETTERS, k=chance.randrange(200, 1200)))
        lines = [f"Letter {self.number}", ".", "..", "From here", ">From there", "QUIT", "\xe4 =E4"]
        lines += [text[start : start + 70] for start in range(0, len(text), 70)]
        return "\n".join([*lines, "x" * 900, "", "."]).encode("latin-1") + b"\n"

    @property
    def content(self) -> bytes:
        """All of it, with LF line ends."""
        header = (
            f"From: {SENDER}\nTo: {', '.join(self.recipients)}\nSubject: letter {self.number}\n"
            "Date: Sat, 21 Nov 2026 10:00:00 +0000\n"
            f"Message-ID: <{self.seed}.{self.number}.{self.domain}@home.example>\n"
            "MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
            "Content-Transfer-Encoding: 8bit\n"
        )
        return header.encode() + b"\n" + self.body

    def copies(self, added: bytes = b"") -> list[tuple[str, str, bytes]]:
        """What must arrive: mailbox, reverse-path, body. `added`: by somebody on the way."""
        return [(name, self.sender, self.body + added) for name in self.names]


def letters(count: int, domain: str, seed: int = 0) -> list[Letter]:
    """The first ones for a domain."""
    return [Letter(number, domain, seed) for number in range(count)]


def queue(node: UucpNode, mails: Sequence[Letter]) -> None:
    """Queue all of them at once."""
    queue_all(node, [(one.sender, one.recipients, one.content) for one in mails])


def queue_all(node: UucpNode, mails: Sequence[tuple[str, Sequence[str], bytes]]) -> None:
    """The same for mails of any kind: reverse-path, recipients, content with LF line ends."""
    node.in_node(lambda opened: opened.intake.accept_all([_parcel(opened, *one) for one in mails]))


def _parcel(node: Node, sender: str, to: Sequence[str], content: bytes) -> Parcel:
    collector = node.intake.collector()
    collector.write(content.replace(b"\n", b"\r\n"))
    arrival = Arrival("from ann", "", "local ann")
    return Parcel(collector, Envelope(sender, tuple(node.intake.expand(to))), arrival)


def copies_at(node: UucpNode) -> Counter[tuple[str, str, bytes]]:
    """What lies in a node's mailboxes: mailbox, reverse-path, body."""
    found: Counter[tuple[str, str, bytes]] = Counter()
    for name in ("user", "postmaster"):
        for mail in node.mails(name):
            head, _, body = mail.partition(b"\n\n")
            first = head.partition(b"\n")[0]
            assert first.startswith(b"Return-Path: <") and first.endswith(b">"), first
            found[name, first[len(b"Return-Path: <") : -1].decode(), body] += 1
    return found


@dataclass(frozen=True)
class Tally:
    """How letters arrived: copies that did not, that came more than once, that nobody sent."""

    lost: list[tuple[str, str, bytes]]
    doubled: list[tuple[str, str, bytes]]
    strange: list[tuple[str, str, bytes]]

    @property
    def is_clean(self) -> bool:
        """Each came once, as it was sent, and nothing else came."""
        return not (self.lost or self.doubled or self.strange)

    def __str__(self) -> str:
        lost, doubled, strange = map(len, (self.lost, self.doubled, self.strange))
        examples = [(*one[:2], one[2][:60]) for one in (*self.lost[:2], *self.strange[:2])]
        return f"{lost} lost, {doubled} doubled, {strange} strange {examples or ''}"


def tally(
    found: Counter[tuple[str, str, bytes]], mails: Iterable[Letter], added: bytes = b""
) -> Tally:
    """Compare what arrived with what was sent. `added`: see Letter.copies."""
    wanted = Counter(copy for one in mails for copy in one.copies(added))
    return Tally(
        lost=list((wanted - found).elements()),
        doubled=[one for one in (found - wanted).elements() if one in wanted],
        strange=[one for one in (found - wanted).elements() if one not in wanted],
    )
