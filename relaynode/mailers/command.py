"""The local mailer of those who let a program deliver: procmail, maildrop and their kin.

The program runs as the user the mail is for, in his home, and never as root; what it is told stands
in its arguments, and no shell reads them. On standard input comes a From line and the message, with
Unix line ends. What its exit code means is told in `process.py`.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import ok
from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.process import Ended, Program
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.stored import from_line, stored
from relaynode.mailers.users import unknown
from relaynode.policy.route import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.mailers.mailer import Report
    from relaynode.mailers.users import Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery

_NAMES = re.compile(r"\{user\}|\{detail\}|\{sender\}")


class CommandMailer(InThreads):
    """A `Mailer` whose next hop is the program that delivers local mail.

    `command`: the program and its arguments, in which `{user}` stands for the user's name,
    `{detail}` for what stands behind a plus, `{sender}` for the reverse-path. `default_user`: who
    runs it for root's mail, or "" for the usual one. `timeout_seconds`: for one message.
    """

    def __init__(
        self,
        command: Sequence[str],
        users: Users,
        *,
        masquerade: Masquerade,
        timeout_seconds: float,
        default_user: str = "",
    ) -> None:
        self._command = command
        self._users = users
        self._masquerade = masquerade
        self._timeout_seconds = timeout_seconds
        self._default_user = default_user

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        delivery = consignment.delivery
        for recipient, name in zip(delivery.recipients, consignment.addresses, strict=True):
            ended = await asyncio.to_thread(self._run, delivery, unquote(name))
            status, lines = ended.status, ended.lines
            await report(
                [
                    Attempt(
                        delivery,
                        recipient,
                        status,
                        "local",
                        dialogue=lines,
                        reason=ended.reason,
                    )
                ]
            )

    def _run(self, delivery: Delivery, name: str) -> Ended:
        user, detail = self._users.find_with_detail(name)
        if user is None:
            return Ended(unknown(name), reason="")
        try:
            runner = deliverer(self._users, user.name, self._default_user)
        except RefusedError as error:
            return Ended(error.status, reason=error.reason)
        sender = delivery.message.envelope.reverse_path or "MAILER-DAEMON"
        known = {"{user}": user.name, "{detail}": detail, "{sender}": sender}
        home = runner.home
        program = Program(
            [_filled_in(word, known) for word in self._command],
            mailer="local",
            taken=ok(f"delivered to {user.name} by program"),
            timeout_seconds=self._timeout_seconds,
            folder=str(home) if home is not None and home.is_dir() else "/",
        )
        return program.run(runner, self._pieces(delivery))

    def _pieces(self, delivery: Delivery) -> Iterator[bytes]:
        outgoing = compose(delivery, self._masquerade, mailer="local")
        yield from_line(delivery).encode("utf-8", "surrogateescape") + b"\n"
        yield from stored(delivery, outgoing)


def _filled_in(word: str, known: dict[str, str]) -> str:
    """In one pass: what is put in is never looked into."""
    return _NAMES.sub(lambda found: known[found[0]], word)
