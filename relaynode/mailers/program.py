"""The program mailer: hands mail to the command that an alias or a .forward names.

    /bin/sh -c COMMAND, as the command's user, in the user's home, with a small environment

The command is the administrator's or the user's own text; nothing of the message or its envelope
gets into it. On standard input comes a From line and the message, with Unix line ends. What its
exit code means is told in `process.py`; what it prints goes to the sender.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError
from relaynode.mail.status import ok
from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.mailers.process import Ended, Program
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.stored import from_line, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relaynode.mailers.mailer import Report
    from relaynode.mailers.users import User, Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery

SHELL = "/bin/sh"

_RELAY = "prog"


class ProgramMailer(InThreads):
    """A `Mailer` whose next hop is a command.

    `default_user`: who runs those of aliases, or "" for the usual one. `timeout_seconds`: for one
    command and one message.
    """

    def __init__(
        self,
        users: Users,
        *,
        masquerade: Masquerade,
        timeout_seconds: float,
        default_user: str = "",
    ) -> None:
        self._users = users
        self._masquerade = masquerade
        self._default_user = default_user
        self._timeout_seconds = timeout_seconds

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        delivery = consignment.delivery
        for recipient, address in zip(delivery.recipients, consignment.addresses, strict=True):
            run_as = recipient.forward_path.run_as
            ended = await asyncio.to_thread(self._run, delivery, address, run_as)
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
                ]
            )

    def _run(self, delivery: Delivery, address: str, run_as: str) -> Ended:
        try:
            user = deliverer(self._users, run_as, self._default_user)
        except RefusedError as error:
            return Ended(error.status, reason=error.reason)
        program = Program(
            [SHELL, "-c", address.removeprefix("|")],
            mailer="prog",
            taken=ok("delivered to program"),
            timeout_seconds=self._timeout_seconds,
            folder=_folder(user, at_home=bool(run_as)),
        )
        return program.run(user, self._pieces(delivery))

    def _pieces(self, delivery: Delivery) -> Iterator[bytes]:
        outgoing = compose(delivery, self._masquerade, mailer="prog")
        yield from_line(delivery).encode("utf-8", "surrogateescape") + b"\n"
        yield from stored(delivery, outgoing, return_path=False)


def _folder(user: User, *, at_home: bool) -> str:
    return str(user.home) if at_home and user.home is not None and user.home.is_dir() else "/"
