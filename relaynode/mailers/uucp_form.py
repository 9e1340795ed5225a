"""How mail is written for a UUCP neighbour: the form of one of sendmail's mailers.

    uucp, uucp-old     From far!user  DATE remote from US    one recipient a job, bang paths
    suucp, uucp-new    the same                              several recipients
    uucp-uudom         From far!user DATE                    several, domain addresses
    uucp-dom           From user@far DATE                    the same

See cf/mailer/uucp.m4 for what each writes, RFC 976 section 2.4 for the line. Line ends are Unix's.

Nothing in the command of a job is quoted: the neighbour splits it at blanks, and may give it to a
shell. So what is not one plain word there is refused here.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relaynode.mail.bangpath import NOBODY
from relaynode.mail.rmail import from_line
from relaynode.mail.status import Status, permanent
from relaynode.mailers.outgoing import compose
from relaynode.mailers.stored import stored
from relaynode.policy.mailer_forms import KINDS, Family
from relaynode.policy.rewrite import rewrite
from relaynode.policy.role import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.mailers.outgoing import Outgoing
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery, QueuedRecipient

MAX_RECIPIENTS = 100
"""Of one job, as sendmail has it."""

MAX_COMMAND_BYTES = 4096
"""Of the recipients of one job: at the neighbour they are one line of a file, and its uuxqt may be
an old one. A single recipient may be longer."""

_ONE_A_JOB = frozenset({"uucp", "uucp-old"})
_NEIGHBOUR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
"""Of a bang path from outside it may be any word: no option of uux, no second host."""

# What a shell would act upon is not among these, but for the apostrophe: people have it in their
# names, and without the rest it can do no more than make the neighbour's command fail.
_RECIPIENT = re.compile(r"(?![-~#])[A-Za-z0-9!#%'*+,./:=?@\[\]^_{}~-]+")
"""Not the start of an option of rmail, nor of a home, which uuxqt puts in, nor of a remark."""

_SENDER = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class UucpForm:
    """`mailer`: one of the UUCP mailers in `KINDS`. `max_size_bytes`: of a message as it came, with
    Unix line ends."""

    neighbour: str
    mailer: str
    masquerade: Masquerade
    max_size_bytes: int

    @property
    def max_recipients(self) -> int:
        """Of one job."""
        return 1 if self.mailer in _ONE_A_JOB else MAX_RECIPIENTS

    def sender(self, delivery: Delivery) -> str:
        """The reverse-path as this neighbour is to see it."""
        path = delivery.message.envelope.reverse_path or NOBODY
        role = Role.ENVELOPE_SENDER
        mailer, host = self.mailer, self.neighbour
        return rewrite(self.masquerade, path, role, mailer=mailer, host=host).result

    def why_none(self, delivery: Delivery, sender: str) -> Status | None:
        """Why the message cannot go to this neighbour at all, or None."""
        if not _NEIGHBOUR.fullmatch(self.neighbour):
            return permanent("This cannot be the name of a UUCP neighbour", "5.1.2", 553)
        if not sender.isascii():
            return permanent("A sender by UUCP must be plain ASCII", "5.6.7", 553)
        if not _SENDER.fullmatch(sender):
            return permanent("A sender by UUCP must be one word", "5.1.7", 553)
        message = delivery.message
        if message.size_bytes - message.lines > self.max_size_bytes:
            text = f"Message is too large; {self.max_size_bytes} bytes max"
            return permanent(text, "5.3.4", 552)
        return None

    def pieces(self, delivery: Delivery, sender: str) -> Iterator[bytes]:
        """The message with the line that rmail wants in front. Raises: StoreError."""
        yield self._from_line(delivery, sender).encode("ascii") + b"\n"
        yield from self.message(delivery)

    def message(self, delivery: Delivery) -> Iterator[bytes]:
        """The message alone. Raises: StoreError."""
        yield from stored(delivery, self.outgoing(delivery), return_path=False)

    def outgoing(self, delivery: Delivery) -> Outgoing:
        """The message in wire form. Raises: StoreError."""
        return compose(delivery, self.masquerade, mailer=self.mailer, host=self.neighbour)

    def _from_line(self, delivery: Delivery, sender: str) -> str:
        """The envelope's sender as rmail reads it, without the line's end.

        The date is the message's, so that another try makes the same file.
        """
        date = time.ctime(delivery.message.arrived_at)
        if KINDS[self.mailer].family is Family.UUCP_OLD:
            return from_line(sender, date, self.masquerade.names.hostname)
        # sendmail names its host here too. Postfix knows the null reverse-path by the bare name,
        # and writes it so; with a host it would be somebody to be answered.
        return from_line(sender if delivery.message.envelope.reverse_path else NOBODY, date)


def jobs(
    passed: Sequence[tuple[QueuedRecipient, str]], max_recipients: int
) -> Iterator[list[tuple[QueuedRecipient, str]]]:
    """The recipients, with their addresses, in groups for one job each."""
    job: list[tuple[QueuedRecipient, str]] = []
    size_bytes = 0
    for recipient, address in passed:
        size_bytes += len(address) + 1
        if job and (len(job) == max_recipients or size_bytes > MAX_COMMAND_BYTES):
            yield job
            job, size_bytes = [], len(address) + 1
        job.append((recipient, address))
    if job:
        yield job


def why_not(address: str) -> Status | None:
    """Why an address cannot be an argument of the neighbour's command, or None."""
    if not address.isascii():
        return permanent("An address by UUCP must be plain ASCII", "5.6.7", 553)
    if not _RECIPIENT.fullmatch(address):
        text = "This address cannot go by UUCP: it is not one plain word to a shell"
        return permanent(text, "5.1.3", 553)
    return None
