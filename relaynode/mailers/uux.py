"""The UUCP mailers: mail becomes jobs for a neighbour, queued by the system's uux.

    uux - -r -aSENDER -gC NEIGHBOUR!rmail (RECIPIENT) (RECIPIENT) ...

On standard input comes the message with Unix line ends, behind the line that rmail wants (RFC 976
section 2.4; what each mailer writes is sendmail's, cf/mailer/uucp.m4):

    uucp, uucp-old     From far!user  DATE remote from US    one recipient a job, bang paths
    suucp, uucp-new    the same                              several recipients
    uucp-uudom         From far!user DATE                    several, domain addresses
    uucp-dom           From user@far DATE                    the same

uux is told by `-r` not to call the neighbour: when there is a line is another's business. Its
parentheses keep it from reading a recipient as a file at another system, but nothing in its command
is quoted: the neighbour splits it at blanks, and may give it to a shell. So what is not one plain
word there is refused here. Not here: how a line is opened and what goes over it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.process import PATH, Ended, Program
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.stored import stored
from relaynode.policy.mailer_forms import KINDS, Family, Role
from relaynode.policy.rewrite import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.mailers.mailer import Report
    from relaynode.mailers.users import Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery, QueuedRecipient

GRADE = "C"
"""The urgency that sendmail and Exim give to mail; uux's own is N, news has d."""

MAX_RECIPIENTS = 100
"""Of one job, as sendmail has it."""

MAX_COMMAND_BYTES = 4096
"""Of the recipients of one job: at the neighbour they are one line of a file, and its uuxqt may be
an old one. A single recipient may be longer."""

NOBODY = "MAILER-DAEMON"
"""Stands for the null reverse-path, which a From line cannot say."""

_ONE_A_JOB = frozenset({"uucp", "uucp-old"})
_RELAY = "uux"

_NEIGHBOUR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
"""Of a bang path from outside it may be any word: no option of uux, no second host."""

# What a shell would act upon is not among these, but for the apostrophe: people have it in their
# names, and without the rest it can do no more than make the neighbour's command fail.
_RECIPIENT = re.compile(r"(?![-~#])[A-Za-z0-9!#%'*+,./:=?@\[\]^_{}~-]+")
"""Not the start of an option of rmail, nor of a home, which uuxqt puts in, nor of a remark."""

_SENDER = re.compile(r"[!-~]+")


class UuxMailer(InThreads):
    """A `Mailer` whose next hop is a UUCP neighbour.

    `mailer`: one of the UUCP mailers in `KINDS`. `uux`: the path of the program, or "" for the one
    on PATH. It runs as `default_user` ("" for the usual one) if we are root. `max_size_bytes`:
    counted as the message came, with Unix line ends. `timeout_seconds`: for one job.
    """

    def __init__(
        self,
        neighbour: str,
        *,
        mailer: str,
        users: Users,
        masquerade: Masquerade,
        max_size_bytes: int,
        timeout_seconds: float,
        default_user: str = "",
        uux: str = "",
    ) -> None:
        self._neighbour = neighbour
        self._mailer = mailer
        self._users = users
        self._masquerade = masquerade
        self._max_size_bytes = max_size_bytes
        self._timeout_seconds = timeout_seconds
        self._default_user = default_user
        self._uux = uux

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        delivery = consignment.delivery
        sender = self._sender(delivery)
        why_none = self._why_none(delivery, sender)
        refused, passed = [], []
        for recipient, address in zip(delivery.recipients, consignment.addresses, strict=True):
            why_not = why_none or _why_not(address)
            if why_not is None:
                passed.append((recipient, address))
            else:
                refused.append(Attempt(delivery, recipient, why_not))
        if refused:
            await report(refused)
        for job in jobs(passed, 1 if self._mailer in _ONE_A_JOB else MAX_RECIPIENTS):
            ended = await asyncio.to_thread(self._queue, delivery, sender, [to for _, to in job])
            await report(
                [
                    Attempt(delivery, recipient, ended.status, _RELAY, dialogue=ended.lines)
                    for recipient, _ in job
                ]
            )

    def _sender(self, delivery: Delivery) -> str:
        """The reverse-path as this neighbour is to see it."""
        path = delivery.message.envelope.reverse_path or NOBODY
        role = Role.ENVELOPE_SENDER
        mailer, host = self._mailer, self._neighbour
        return rewrite(self._masquerade, path, role, mailer=mailer, host=host).result

    def _why_none(self, delivery: Delivery, sender: str) -> Status | None:
        """Why the message cannot go to this neighbour at all, or None."""
        if not _NEIGHBOUR.fullmatch(self._neighbour):
            return permanent("This cannot be the name of a UUCP neighbour", "5.1.2", 553)
        if not sender.isascii():
            return permanent("A sender by UUCP must be plain ASCII", "5.6.7", 553)
        if not _SENDER.fullmatch(sender):
            return permanent("A sender by UUCP must be one word", "5.1.7", 553)
        message = delivery.message
        if message.size_bytes - message.lines > self._max_size_bytes:
            text = f"Message is too large; {self._max_size_bytes} bytes max"
            return permanent(text, "5.3.4", 552)
        return None

    def _queue(self, delivery: Delivery, sender: str, addresses: list[str]) -> Ended:
        """Make one job."""
        uux = self._uux or shutil.which("uux", path=f"{os.environ.get('PATH', '')}:{PATH}")
        if uux is None:
            return Ended(temporary("uux is not installed on this system", "4.3.5"))
        try:
            user = deliverer(self._users, "", self._default_user)
        except RefusedError as error:
            return Ended(error.status)
        options = ["-", "-r", f"-a{sender}", f"-g{GRADE}"]
        recipients = [f"({address})" for address in addresses]
        program = Program(
            [uux, *options, f"{self._neighbour}!rmail", *recipients],
            mailer=self._mailer,
            taken=ok("queued for UUCP"),
            timeout_seconds=self._timeout_seconds,
        )
        return program.run(user, self._pieces(delivery, sender))

    def _pieces(self, delivery: Delivery, sender: str) -> Iterator[bytes]:
        yield self._from_line(delivery, sender).encode("ascii") + b"\n"
        outgoing = compose(delivery, self._masquerade, mailer=self._mailer, host=self._neighbour)
        yield from stored(delivery, outgoing, return_path=False)

    def _from_line(self, delivery: Delivery, sender: str) -> str:
        """The envelope's sender as rmail reads it, without the line's end.

        The date is the message's, so that another try makes the same file.
        """
        date = time.ctime(delivery.message.arrived_at)
        if KINDS[self._mailer].family is not Family.UUCP_OLD:
            return f"From {sender} {date}"
        host, bang, rest = sender.partition("!")
        if not bang:
            host, rest = self._masquerade.names.hostname, sender
        return f"From {rest}  {date} remote from {host}"


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


def _why_not(address: str) -> Status | None:
    """Why an address cannot be an argument of the neighbour's command, or None."""
    if not address.isascii():
        return permanent("An address by UUCP must be plain ASCII", "5.6.7", 553)
    if not _RECIPIENT.fullmatch(address):
        text = "This address cannot go by UUCP: it is not one plain word to a shell"
        return permanent(text, "5.1.3", 553)
    return None
