"""The file mailer: appends to the file that an alias or a .forward names, as its user.

The form is that of an mbox. /dev/null takes everything and keeps nothing.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import RefusedError, StoreError
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.as_user import CannotCreate, disk_reason, write
from relaynode.mailers.in_threads import InThreads
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.monitor_words import AppendFile
from relaynode.mailers.outgoing import compose
from relaynode.mailers.run_as import deliverer
from relaynode.mailers.stored import from_line, stored

if TYPE_CHECKING:
    from relaynode.mailers.mailer import Report
    from relaynode.mailers.users import Users
    from relaynode.policy.masquerade import Masquerade
    from relaynode.queue.model import Delivery, QueuedRecipient

NOWHERE = "/dev/null"
_RELAY = "*file*"


class FileMailer(InThreads):
    """A `Mailer` whose next hop is a file. `default_user`: whose files those of aliases are, or ""
    for the usual one."""

    def __init__(self, users: Users, *, masquerade: Masquerade, default_user: str = "") -> None:
        self._users = users
        self._masquerade = masquerade
        self._default_user = default_user

    async def _deliver_all(self, consignment: Consignment, report: Report) -> None:
        attempts = []
        delivery = consignment.delivery
        for recipient, path in zip(delivery.recipients, consignment.addresses, strict=True):
            status, reason = await asyncio.to_thread(self._append, delivery, Path(path), recipient)
            attempts.append(Attempt(delivery, recipient, status, _RELAY, reason=reason))
        await report(attempts)

    def _append(
        self, delivery: Delivery, path: Path, recipient: QueuedRecipient
    ) -> tuple[Status, str]:
        """Status and reason."""
        if str(path) == NOWHERE:
            return ok(f"delivered to {NOWHERE}"), ""
        try:
            named, line = recipient.forward_path, from_line(delivery)
            user = deliverer(self._users, named.run_as, self._default_user)
            outgoing = compose(delivery, self._masquerade, mailer="local")
            names = map(os.fsencode, (named.expanded_from, named.run_as, str(path), line))
            write(user, "file", path, line, stored(delivery, outgoing), wish=AppendFile(*names))
        except RefusedError as error:
            return error.status, error.reason
        except CannotCreate as error:
            return permanent(f"{path}: {error.strerror}", "5.2.0", 550), ""
        except StoreError as error:
            return temporary(str(error), "4.3.0"), error.reason
        except OSError as error:
            return temporary(f"{path}: {error.strerror or error}", "4.2.0"), disk_reason(error)
        return ok(f"delivered to file {path}"), ""
