"""Where the daemon's log goes, and that of its receivers, which log as it does."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from typing import TYPE_CHECKING

from relaynode.cli.log_lines import TimedLines, leave_out_unused

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.config.loader import Config

_SYSLOG = ("/var/run/log", "/dev/log")
"""Where syslogd listens: FreeBSD, Linux."""


def standard_error(config: Config) -> None:
    """For a daemon in the foreground, as systemd, rc.d and daemon(8) like it."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" not in os.environ:  # the journal and syslog put the time in front
        handler.setFormatter(TimedLines())
    _log_to(handler)


def syslog(config: Config) -> None:
    """For a daemon in the background; a file in the spool where there is no syslogd."""
    _log_to(_handler(config))


PLACES: dict[str, Callable[[Config], None]] = {"stderr": standard_error, "syslog": syslog}
"""By the names that a receiver is told."""


def _log_to(handler: logging.Handler) -> None:
    leave_out_unused()
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _handler(config: Config) -> logging.Handler:
    mail = logging.handlers.SysLogHandler.LOG_MAIL
    for place in _SYSLOG:
        try:
            handler = logging.handlers.SysLogHandler(place, mail)
        except OSError:
            continue
        handler.ident = "relaynode: "
        return handler
    config.spool.mkdir(mode=0o711, parents=True, exist_ok=True)
    file = logging.FileHandler(config.spool / "daemon.log")
    file.setFormatter(TimedLines())
    return file
