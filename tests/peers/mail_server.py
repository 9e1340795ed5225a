"""What Exim, OpenSMTPD and sendmail as servers have in common: any mail is taken and kept.

As with Postfix (`postfix.py`), a test chooses the outcome by the local part of the recipient:

    unknown...   refused for good: 550 5.1.1
    later...     refused for now:  450 4.2.0
    others       delivered, whatever the domain
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from peers import deliveries, folders
from peers.found import require
from peers.processes import PeerFailed, Process, free_port, tail, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from peers.deliveries import Delivery

REFUSED = "550 5.1.1 There is no such user"
BUSY = "450 4.2.0 Mailbox is busy, try again later"


class MailServer:
    """A server that runs inside a `with` block. Only root can start it.

    folder: after the end the log, the configuration and the mail are moved into it. Without, they
        are removed.
    """

    name = ""
    _fields: tuple[bytes, bytes]
    """What the first two lines of a delivered file begin with: reverse-path, recipients."""

    def __init__(self, folder: Path | None = None) -> None:
        self._keep_in = folder

    def __enter__(self) -> Self:
        """Start it; it answers on `port`. Raises PeerFailed, or PeerMissing outside a test."""
        self._found = require(self.name)
        self.home = folders.make_home(self.name)
        self.port = free_port()
        self._process: Process | None = None
        try:
            command = self._prepare()
            self._process = Process(
                command, log=self._log_file, environment=self._found.environment
            )
            self._process.wait_until_answers(self.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process is not None:
                self._process.stop()
        finally:
            self.home = folders.leave_home(self.home, self._keep_in, drop=("queue",))

    def log(self) -> str:
        """All that it logged so far."""
        return self._log_file.read_text(errors="replace")

    def deliveries(self) -> list[Delivery]:
        """All that was delivered, in no order."""
        path_field, to_field = self._fields
        return [
            one
            for file in (self._maildir / "new").iterdir()
            for one in deliveries.read(file, path_field=path_field, to_field=to_field)
        ]

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until `count` deliveries were made. Raises PeerFailed."""
        if not wait_until(lambda: len(self.deliveries()) >= count, seconds):
            got = len(self.deliveries())
            raise PeerFailed(f"{self.name} delivered {got}, not {count}\n{tail(self._log_file)}")

    def _prepare(self) -> list[str]:
        """Write its files; the command that starts it in the foreground."""
        raise NotImplementedError

    @property
    def _log_file(self) -> Path:
        return self.home / "log"

    @property
    def _maildir(self) -> Path:
        return self.home / "mail"
