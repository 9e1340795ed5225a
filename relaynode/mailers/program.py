"""The program mailer: hands mail to the command that an alias or a .forward names.

    /bin/sh -c COMMAND, as the command's user, in the user's home, with a small environment

The command is the administrator's or the user's own text; nothing of the message or its envelope
gets into it. On standard input comes a From line and the message, with Unix line ends. What its
exit code means is told in `process.py`; what it prints goes to the sender.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import ok
from relaynode.mailers.by_program import ByProgram, home_of
from relaynode.mailers.monitor_words import RunProgram
from relaynode.mailers.process import Ended, Program
from relaynode.mailers.run_as import deliverer

if TYPE_CHECKING:
    from relaynode.queue.model import Delivery, QueuedRecipient

SHELL = "/bin/sh"


class ProgramMailer(ByProgram):
    """A `Mailer` whose next hop is a command. `default_user`: who runs those of aliases."""

    _mailer = "prog"
    _has_return_path = False

    def _run(self, delivery: Delivery, recipient: QueuedRecipient, address: str) -> Ended:
        run_as, origin = recipient.forward_path.run_as, recipient.forward_path.expanded_from
        try:
            user = deliverer(self._users, run_as, self._default_user)
        except RefusedError as error:
            return Ended(error.status, reason=error.reason)
        program = Program(
            [SHELL, "-c", address.removeprefix("|")],
            mailer=self._mailer,
            taken=ok("delivered to program"),
            timeout_seconds=self._timeout_seconds,
            wish=RunProgram(*map(os.fsencode, (origin, run_as, address))),
            folder=home_of(user) if run_as else "/",
        )
        return program.run(user, self._pieces(delivery))
