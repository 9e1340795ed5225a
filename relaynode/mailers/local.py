"""The local mailer: into a user's Maildir or mbox, as that user.

What cannot be written now (a full disk, a quota, a locked mailbox) is temporary; only a user that
does not exist is permanent.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from relaynode.errors import StoreError
from relaynode.mail.status import Status, ok, temporary
from relaynode.mailers.as_user import disk_reason, write
from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.monitor_words import FillMailbox
from relaynode.mailers.outgoing import compose
from relaynode.mailers.stored import from_line, stored
from relaynode.mailers.users import unknown
from relaynode.policy.route import unquote

if TYPE_CHECKING:
    from relaynode.mailers.mailer import Report
    from relaynode.mailers.users import Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery, QueuedRecipient

MAX_FOLDER_BYTES = 200
"""No folder has a longer name."""

_UNSAFE = re.compile(r"[^!-.0-9;-~]")  # blanks, slash, colon, control and non-ASCII characters


class LocalMailer(InThreads):
    """A `Mailer` whose next hop is the user's mailbox."""

    def __init__(
        self, users: Users, *, hostname: str, masquerade: Masquerade, uses_folders: bool = True
    ) -> None:
        """`uses_folders`: mail for user+detail goes to the folder `detail`, if there is one."""
        self._users = users
        self._uses_folders = uses_folders
        self._hostname = hostname
        self._masquerade = masquerade

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        attempts = []
        delivery = consignment.delivery
        for recipient, name in zip(delivery.recipients, consignment.addresses, strict=True):
            status, relay, reason = await asyncio.to_thread(
                self._deliver, delivery, recipient, name
            )
            attempts.append(Attempt(delivery, recipient, status, relay, reason=reason))
        await report(attempts)

    def _deliver(
        self, delivery: Delivery, recipient: QueuedRecipient, name: str
    ) -> tuple[Status, str, str]:
        """Status, relay and reason."""
        name = unquote(name)
        user, detail = self._users.find_with_detail(name)
        if user is None:
            return unknown(name), "", ""
        kind = "maildir" if self._users.are_maildirs else "mbox"
        path = self._users.mailbox_of(user)
        try:
            outgoing = compose(delivery, self._masquerade, mailer="local")
            pieces = stored(delivery, outgoing)
            if kind == "maildir":
                unique, folder = self._unique(delivery, recipient.id), detail
            else:
                unique, folder = from_line(delivery), ""
            if not self._uses_folders or len(os.fsencode(folder)) > MAX_FOLDER_BYTES:
                folder = ""
            may_be_there = _was_tried(recipient)
            wish = FillMailbox(
                os.fsencode(user.name), os.fsencode(unique), os.fsencode(folder), may_be_there
            )
            write(
                user,
                kind,
                path,
                unique,
                pieces,
                folder,
                may_be_there=may_be_there,
                wish=wish,
            )
        except StoreError as error:
            return temporary(str(error), "4.3.0"), kind, error.reason
        except OSError as error:
            text = f"{error.filename or path}: {error.strerror or error}"
            return temporary(text, "4.2.0"), kind, disk_reason(error)
        return ok(f"delivered to {kind} of {user.name}"), kind, ""

    def _unique(self, delivery: Delivery, recipient_id: int) -> str:
        """A Maildir name that is the same for every try of this delivery."""
        message = delivery.message
        host = _UNSAFE.sub("_", self._hostname)
        return f"{int(message.arrived_at)}.{message.queue_id}R{recipient_id}.{host}"


def _was_tried(recipient: QueuedRecipient) -> bool:
    """Can an earlier try have written it? The queue knows each: by how it ended, or, where nobody
    could write that down, by the doubt (see `queue/model.py`)."""
    return recipient.in_doubt or recipient.last_status is not None
