"""One message on its way over one session, as the client's core and its driver see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.mail.envelope import Recipient
    from relaynode.mail.reason import Stage
    from relaynode.mail.status import Status
    from relaynode.smtp.reply import Reply


@dataclass(slots=True, eq=False)
class Transaction:
    """One message on its way over one session.

    `tag` is the driver's, untouched. `size_bytes`: of the content exactly as it will be given to
    `send_content`. `once_id`: see `once.py`. `statuses`: one per recipient, None while unknown.
    `accepted`: how many recipients the server took; `refused_rcpts`: the places of those it did
    not. `is_void`: the server cannot have accepted it.
    """

    tag: object
    reverse_path: str
    recipients: Sequence[Recipient]
    size_bytes: int
    is_8bit: bool = False
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    once_id: str = ""
    statuses: list[Status | None] = field(default_factory=list)
    is_content_sent: bool = False
    is_finished: bool = False
    is_void: bool = False
    accepted: int = 0
    mail_reply: Reply | None = None
    refused_rcpts: set[int] = field(default_factory=set)

    @property
    def is_in_doubt(self) -> bool:
        """If the line is lost now, may the server have accepted it for some recipient?"""
        is_open = not self.is_finished and not self.is_void
        return self.is_content_sent and is_open and None in self.statuses

    def stage_of(self, recipient: int) -> Stage:
        """What the reply answered that gave a recipient, by its place, its status."""
        if self.mail_reply is not None and self.mail_reply.code >= 300:
            return "MAIL"
        return "RCPT" if recipient in self.refused_rcpts else "DATA"

    def settle(self, status: Status) -> None:
        """The status of all recipients that have none yet."""
        self.statuses = [known or status for known in self.statuses]
