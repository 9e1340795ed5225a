"""`mailq`, `sendmail -bp` and `-bP`: what waits, in sendmail's layout (queue/listing.py).

Anybody may ask, as with sendmail: whoever cannot open the queue asks the daemon.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relaynode.cli.client import DaemonClient
from relaynode.cli.opened import in_store
from relaynode.errors import EX_OK
from relaynode.links.queuelist import queue_text

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.sources.sendmail_options import SendmailOptions


def run(config: Config, options: SendmailOptions) -> int:
    """List or count. Raises: StoreError, LineLost."""
    daemon = None
    if not os.access(config.spool / "queue.db", os.R_OK | os.W_OK):
        daemon = DaemonClient.connect(config.control_socket)
    if daemon is None:
        text = in_store(config, lambda store: queue_text(store, config.spool, options))
    else:
        text = daemon.ask("mailq", options.words)["text"]
    sys.stdout.write(text)
    return EX_OK
