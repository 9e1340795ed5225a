"""The program that an account hands its mail to instead of us: fetchmail's mda.

It is told recipient and sender in its arguments, %T and %F, and no shell reads them: each stays
within the word that it was put into, whatever it is. On standard input comes a From line and the
message, with Unix line ends. It runs as the local user that the recipient is, or as the default
user, and never as root. What its exit code means is told in `process.py`;
one that is none of sysexits(3) refuses nothing, since the mail has been taken off its server.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import ok
from relaynode.mailers.by_program import ByProgram, home_of
from relaynode.mailers.process import Ended, Program
from relaynode.mailers.run_as import deliverer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.queue.model import Delivery, QueuedRecipient

NOBODY = "MAILER-DAEMON"
"""Stands for the null path, and for a sender that would be taken for an option."""

_MARKS = re.compile(r"%[TF%]")


class MdaMailer(ByProgram):
    """A `Mailer` whose next hop is a program. `command`: with its arguments; the others are those
    of ByProgram."""

    _mailer = "local"
    _has_return_path = True

    def _run(self, delivery: Delivery, recipient: QueuedRecipient, address: str) -> Ended:
        name = self._to_become(address)
        try:
            runner = deliverer(self._users, name, self._default_user)
        except RefusedError as error:
            return Ended(error.status, reason=error.reason)
        sender = delivery.message.envelope.reverse_path or NOBODY
        program = Program(
            filled_in(self._command, recipient=address, sender=sender),
            mailer="mda",
            taken=ok(f"taken by {self._command[0]}"),
            timeout_seconds=self._timeout_seconds,
            folder=home_of(runner) if name else "/",
            is_patient=True,
        )
        return program.run(runner, self._pieces(delivery))

    def _to_become(self, address: str) -> str:
        """The local user that runs the program for this recipient; "": the default one."""
        user = self._users.find(address) if os.geteuid() == 0 else None
        return user.name if user is not None and user.uid else ""


def filled_in(command: Sequence[str], *, recipient: str, sender: str) -> list[str]:
    """The words of the command with %T and %F replaced (%% is a percent sign).

    What is put in is not looked into, and makes no word an option that was none.
    """
    known = {"%T": _tame(recipient), "%F": _tame(sender), "%%": "%"}
    return [_MARKS.sub(lambda found: known[found[0]], word) for word in command]


def _tame(address: str) -> str:
    return NOBODY if address.startswith("-") or "\0" in address else address
