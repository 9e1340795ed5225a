"""The local mailer: into a user's Maildir or mbox, as that user.

What cannot be written now (a full disk, a quota, a locked mailbox) is temporary; only a user that
does not exist is permanent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from relaynode.errors import StoreError
from relaynode.mail.lines import ToLf
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.mailers.mailbox import deliver_to_maildir, deliver_to_mbox, frame
from relaynode.mailers.mailer import Attempt, Consignment
from relaynode.mailers.outgoing import compose
from relaynode.queue.finish import finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from relaynode.mailers.outgoing import Outgoing
    from relaynode.mailers.users import User, Users
    from relaynode.policy.rewrite import Masquerade
    from relaynode.queue.model import Delivery

_UNSAFE = re.compile(r"[^!-.0-9;-~]")  # blanks, slash, colon, control and non-ASCII characters
DELIVER_SECONDS = 120


class LocalMailer:
    """A `Mailer` whose next hop is the user's mailbox."""

    def __init__(self, users: Users, *, hostname: str, masquerade: Masquerade) -> None:
        self._users = users
        self._hostname = hostname
        self._masquerade = masquerade

    async def deliver(
        self,
        consignments: AsyncIterator[Consignment],
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        """See Mailer."""
        async for consignment in consignments:
            # A thread cannot be called off: what it has written must be recorded.
            await finish(self._deliver_all(consignment, report))

    async def _deliver_all(
        self,
        consignment: Consignment,
        report: Callable[[Sequence[Attempt]], Awaitable[None]],
    ) -> None:
        attempts = []
        delivery = consignment.delivery
        for recipient, name in zip(delivery.recipients, consignment.addresses, strict=True):
            status, relay = await asyncio.to_thread(self._deliver, delivery, recipient.id, name)
            attempts.append(Attempt(delivery, recipient, status, relay))
        await report(attempts)

    def _deliver(self, delivery: Delivery, recipient_id: int, name: str) -> tuple[Status, str]:
        user = self._users.find(name) or self._users.find(name.partition("+")[0])
        if user is None:
            return permanent(f"<{name}>... User unknown", "5.1.1", 550), ""
        kind = "maildir" if self._users.are_maildirs else "mbox"
        path = self._users.mailbox_of(user)
        try:
            outgoing = compose(delivery, self._masquerade, qualify=False)
            pieces = self._as_stored(delivery, outgoing)
            if kind == "maildir":
                unique = self._unique(delivery, recipient_id)
                _write(user, kind, path, unique, pieces)
            else:
                _write(user, kind, path, _from_line(delivery), pieces)
        except StoreError as error:
            return temporary(str(error), "4.3.0"), kind
        except OSError as error:
            text = f"{error.filename or path}: {error.strerror or error}"
            return temporary(text, "4.2.0"), kind
        return ok(f"delivered to {kind} of {user.name}"), kind

    def _as_stored(self, delivery: Delivery, outgoing: Outgoing) -> Iterator[bytes]:
        """The message with Return-Path in front (RFC 5321 4.4) and Unix line ends."""
        path = delivery.message.envelope.reverse_path
        yield f"Return-Path: <{path}>\n".encode("utf-8", "surrogateescape")
        to_lf = ToLf()
        for piece in outgoing.pieces():
            yield to_lf.feed(piece)
        yield to_lf.finish()

    def _unique(self, delivery: Delivery, recipient_id: int) -> str:
        """A Maildir name that is the same for every try of this delivery."""
        message = delivery.message
        host = _UNSAFE.sub("_", self._hostname)
        return f"{int(message.arrived_at)}.{message.queue_id}R{recipient_id}.{host}"


def _from_line(delivery: Delivery) -> str:
    sender = delivery.message.envelope.reverse_path or "MAILER-DAEMON"
    date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(delivery.message.arrived_at))
    return f"From {''.join(sender.split())} {date}"


def _write(user: User, kind: str, path: Path, unique: str, pieces: Iterator[bytes]) -> None:
    """Write as the user. Raises: OSError, StoreError."""
    if user.uid is not None and os.geteuid() == 0 and user.uid != 0:
        _write_as(user, kind, path, unique, pieces)
    elif kind == "maildir":
        deliver_to_maildir(path, unique, pieces)
    else:
        deliver_to_mbox(path, os.fsencode(unique), pieces)


def _write_as(user: User, kind: str, path: Path, unique: str, pieces: Iterator[bytes]) -> None:
    """Write in a process of the user's own: root follows no path that a user controls."""
    assert user.uid is not None
    assert user.gid is not None
    ids = [user.uid, user.gid, *_spool_groups(user, kind, path)]
    command = [sys.executable, "-m", "relaynode.mailers.mailbox", kind, str(path), unique]
    with subprocess.Popen(
        [*command, *map(str, ids)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        # If it ends early it says why on its standard error, or has the message already. If we do,
        # for want of a piece, it finds its input cut and delivers nothing.
        with contextlib.suppress(BrokenPipeError):
            try:
                for piece in pieces:
                    if piece:
                        process.stdin.write(frame(piece))
                process.stdin.write(frame(b""))
            finally:
                process.stdin.close()
        complaint = process.stderr.read().decode("utf-8", "replace").strip()
        if process.wait(DELIVER_SECONDS) != 0:
            last_line = complaint.splitlines()[-1] if complaint else f"exit {process.returncode}"
            raise OSError(None, last_line, str(path))


def _spool_groups(user: User, kind: str, path: Path) -> list[int]:
    """The group that may make files in /var/mail. None is lent below the user's home, where the
    user decides what a path leads to."""
    if kind != "mbox" or (user.home is not None and path.is_relative_to(user.home)):
        return []
    return [path.parent.stat().st_gid] if path.parent.exists() else []
