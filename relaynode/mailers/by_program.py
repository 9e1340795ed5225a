"""What mailers have in common that hand each recipient's copy to a program: the program of an alias
(`program.py`), and the one that delivers local mail (`command.py`)."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt
from relaynode.mailers.outgoing import compose
from relaynode.mailers.stored import from_line, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relaynode.mailers.mailer import Consignment, Report
    from relaynode.mailers.process import Ended
    from relaynode.mailers.users import User, Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery, QueuedRecipient


class ByProgram(InThreads):
    """A `Mailer` whose next hop is a program.

    `default_user`: who runs it where nobody else should, or "" for the usual one.
    `timeout_seconds`: for one program and one message. `has_from_line`: does a "From " line go
    before the message, as in an mbox? `command`: the program and its arguments, where it is the
    same for all.
    """

    _mailer: ClassVar[str]
    """As sendmail calls it: for the form of addresses, and as the relay in the log."""

    _has_return_path: ClassVar[bool]
    """Is the reverse-path told in a field?"""

    def __init__(
        self,
        users: Users,
        *,
        masquerade: Masquerade,
        timeout_seconds: float,
        default_user: str = "",
        has_from_line: bool = True,
        command: Sequence[str] = (),
    ) -> None:
        self._users = users
        self._masquerade = masquerade
        self._timeout_seconds = timeout_seconds
        self._default_user = default_user
        self._has_from_line = has_from_line
        self._command = command

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        delivery = consignment.delivery
        for recipient, address in zip(delivery.recipients, consignment.addresses, strict=True):
            ended = await asyncio.to_thread(self._run, delivery, recipient, address)
            await report(
                [
                    Attempt(
                        delivery,
                        recipient,
                        ended.status,
                        self._mailer,
                        dialogue=ended.lines,
                        reason=ended.reason,
                    )
                ]
            )

    @abstractmethod
    def _run(self, delivery: Delivery, recipient: QueuedRecipient, address: str) -> Ended:
        """Run the program for one recipient."""

    def _pieces(self, delivery: Delivery) -> Iterator[bytes]:
        """Its standard input."""
        outgoing = compose(delivery, self._masquerade, mailer=self._mailer)
        if self._has_from_line:
            yield from_line(delivery).encode("utf-8", "surrogateescape") + b"\n"
        yield from stored(delivery, outgoing, return_path=self._has_return_path)


def home_of(user: User) -> str:
    """The folder that his programs start in."""
    return str(user.home) if user.home is not None and user.home.is_dir() else "/"
