"""`hoststat`, `purgestat`, `sendmail -bh` and `-bH`: what each next hop last had to say.

    -------------- Hostname --------------- How long ago ---------Results---------
    relay.example.net                           00:00:03 250 2.0.0 accepted

The columns are sendmail's. Only what is older than half an hour is purged, as with its
Timeout.hoststatus.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relaynode.cli.opened import in_store
from relaynode.errors import EX_OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.config.loader import Config
    from relaynode.queue.model import HostStatus

KEPT_SECONDS = 30 * 60
"""sendmail's Timeout.hoststatus: younger entries survive purgestat."""

_TITLE = " -------------- Hostname --------------- How long ago ---------Results---------"
_RESULT_WIDTH = 25
_LONG_RESULT_WIDTH = 78
_DAY = 24 * 60 * 60


def run(config: Config, *, is_long: bool) -> int:
    """Print the table; nothing at all if it is empty. Raises: StoreError."""
    found = in_store(config, lambda store: store.host_status())
    if found:
        print("\n".join(table(found, time.time(), is_long=is_long)))
    return EX_OK


def purge(config: Config) -> int:
    """Forget what is old. Raises: StoreError."""
    in_store(config, lambda store: store.forget_host_status(time.time() - KEPT_SECONDS))
    return EX_OK


def table(found: Sequence[HostStatus], now: float, *, is_long: bool = False) -> list[str]:
    """The lines. `now`: epoch seconds."""
    width = _LONG_RESULT_WIDTH if is_long else _RESULT_WIDTH
    return [
        _TITLE,
        *(
            f" {one.host[:39]:<39} {_ago(now - one.at):>12} {_result(one)[:width]}".rstrip()
            for one in found
        ),
    ]


def _result(one: HostStatus) -> str:
    return f"Deferred: {one.status.text}" if one.status.is_temporary else str(one.status)


def _ago(seconds: float) -> str:
    days, rest = divmod(max(int(seconds), 0), _DAY)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}+{text}" if days else text
