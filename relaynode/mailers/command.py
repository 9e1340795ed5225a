"""The local mailer of those who let a program deliver: procmail, maildrop and their kin.

The program runs as the user the mail is for, in his home, and never as root; what it is told stands
in its arguments, and no shell reads them. On standard input comes a From line and the message, with
Unix line ends. What its exit code means is told in `process.py`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import ok
from relaynode.mailers.by_program import ByProgram, home_of
from relaynode.mailers.monitor_words import RunCommand
from relaynode.mailers.process import Ended, Program
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.users import unknown
from relaynode.policy.route import unquote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.queue.model import Delivery, QueuedRecipient

_NAMES = re.compile(r"\{user\}|\{detail\}|\{sender\}")


class CommandMailer(ByProgram):
    """A `Mailer` whose next hop is the program that delivers local mail.

    `command`: the program and its arguments, in which `{user}` stands for the user's name,
    `{detail}` for what stands behind a plus, `{sender}` for the reverse-path. `default_user`: who
    runs it for root's mail, or "" for the usual one. `timeout_seconds`: for one message.
    `has_from_line`: as for every program; maildrop would put the line into a Maildir.
    """

    _mailer = "local"
    _has_return_path = True

    def _run(self, delivery: Delivery, recipient: QueuedRecipient, address: str) -> Ended:
        name = unquote(address)
        user, detail = self._users.find_with_detail(name)
        if user is None:
            return Ended(unknown(name), reason="")
        try:
            runner = deliverer(self._users, user.name, self._default_user)
        except RefusedError as error:
            return Ended(error.status, reason=error.reason)
        sender = delivery.message.envelope.reverse_path or "MAILER-DAEMON"
        program = Program(
            fill_in(self._command, user.name, detail, sender),
            mailer=self._mailer,
            taken=ok(f"delivered to {user.name} by program"),
            timeout_seconds=self._timeout_seconds,
            wish=RunCommand(*map(os.fsencode, (user.name, detail, sender))),
            folder=home_of(runner),
        )
        return program.run(runner, self._pieces(delivery))


def fill_in(command: Sequence[str], user: str, detail: str, sender: str) -> list[str]:
    """The command for one message. In one pass: what is put in is never looked into."""
    known = {"{user}": user, "{detail}": detail, "{sender}": sender}
    return [_NAMES.sub(lambda found: known[found[0]], word) for word in command]
