"""The host status in hoststat's layout."""

from __future__ import annotations

import pytest

from relaynode.cli.hoststat import table
from relaynode.mail.status import Status, temporary
from relaynode.queue.model import HostStatus

NOW = 1_800_000_000.0


def test_each_host_has_a_line_in_sendmails_columns() -> None:
    found = [
        HostStatus("relay.example.net", NOW - 3, Status(250, "2.0.0", "accepted")),
        HostStatus("203.0.113.5", NOW - 6, temporary("Connection refused")),
    ]
    assert table(found, NOW) == [
        " -------------- Hostname --------------- How long ago ---------Results---------",
        " relay.example.net                           00:00:03 250 2.0.0 accepted",
        " 203.0.113.5                                 00:00:06 Deferred: Connection refu",
    ]
    assert table(found, NOW, is_long=True)[2] == (
        " 203.0.113.5                                 00:00:06 Deferred: Connection refused"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "00:00:00"), (-5, "00:00:00"), (3725, "01:02:05"), (2 * 86400 + 59, "2+00:00:59")],
)
def test_the_time_since_then_counts_days_where_there_are_any(seconds: float, shown: str) -> None:
    line = table([HostStatus("h", NOW - seconds, temporary("x"))], NOW)[1]
    assert line[41:54].strip() == shown
