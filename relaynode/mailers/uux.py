"""The UUCP mailers: mail becomes jobs for a neighbour, queued by the system's uux.

    uux - -r -aSENDER -gC NEIGHBOUR!rmail (RECIPIENT) (RECIPIENT) ...

On standard input comes the message as `uucp_form.py` writes it. uux is told by `-r` not to call the
neighbour: when there is a line is another's business. Its parentheses keep it from reading a
recipient as a file at another system.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import ok, temporary
from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.process import PATH, Ended, Program
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.uucp_form import UucpForm, jobs, why_not

if TYPE_CHECKING:
    from relaynode.mailers.mailer import Report
    from relaynode.mailers.users import Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery

GRADE = "C"
"""The urgency that sendmail and Exim give to mail; uux's own is N, news has d."""

_RELAY = "uux"


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
        self._form = UucpForm(neighbour, mailer, masquerade, max_size_bytes)
        self._timeout_seconds = timeout_seconds
        self._default_user = default_user
        self._uux = uux

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        delivery = consignment.delivery
        sender = self._form.sender(delivery)
        why_none = self._form.why_none(delivery, sender)
        refused, passed = [], []
        for recipient, address in zip(delivery.recipients, consignment.addresses, strict=True):
            reason = why_none or why_not(address)
            if reason is None:
                passed.append((recipient, address))
            else:
                refused.append(Attempt(delivery, recipient, reason))
        if refused:
            await report(refused)
        for job in jobs(passed, self._form.max_recipients):
            ended = await asyncio.to_thread(self._queue, delivery, sender, [to for _, to in job])
            await report(
                [
                    Attempt(
                        delivery,
                        recipient,
                        ended.status,
                        _RELAY,
                        dialogue=ended.lines,
                        reason=ended.reason,
                    )
                    for recipient, _ in job
                ]
            )

    def _queue(self, delivery: Delivery, sender: str, addresses: list[str]) -> Ended:
        """Make one job."""
        uux = self._uux or shutil.which("uux", path=f"{os.environ.get('PATH', '')}:{PATH}")
        if uux is None:
            return Ended(temporary("uux is not installed on this system", "4.3.5"))
        try:
            user = deliverer(self._users, "", self._default_user)
        except RefusedError as error:
            return Ended(error.status, reason=error.reason)
        options = ["-", "-r", f"-a{sender}", f"-g{GRADE}"]
        recipients = [f"({address})" for address in addresses]
        program = Program(
            [uux, *options, f"{self._neighbour}!rmail", *recipients],
            mailer=self._mailer,
            taken=ok("queued for UUCP"),
            timeout_seconds=self._timeout_seconds,
        )
        return program.run(user, self._form.pieces(delivery, sender))
