"""Log lines in sendmail's form, which people and log programs have known for decades.

    6ALGWY9N005467: from=<alice@home>, size=3600, class=0, nrcpts=1, msgid=<1@home>, relay=pc [::1]
    6ALGWY9N005467: to=<bob@x.example>, delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=33600,
        relay=mx.example [192.0.2.1], dsn=2.0.0, stat=Sent (250 2.0.0 queued as 4711)

(one line each). Strangers have said most of it, so each value is cleaned and cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relaynode.mail.status import Status

MAX_VALUE = 256
"""Characters of a value; what is longer is cut."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DAY = 86400


def arrival(
    queue_id: str,
    *,
    sender: str,
    size_bytes: int,
    recipients: int,
    message_id: str,
    relay: str,
    body: str = "",
    protocol: str = "",
) -> str:
    """A message came. `relay`: who brought it."""
    return _line(
        queue_id,
        {
            "from": f"<{sender}>",
            "size": str(size_bytes),
            "class": "0",
            "nrcpts": str(recipients),
            "msgid": message_id,
            "bodytype": body,
            "proto": protocol,
            "relay": relay,
        },
    )


def attempt(
    queue_id: str,
    *,
    to: str,
    delay: float,
    xdelay: float,
    mailer: str,
    priority: int,
    relay: str,
    status: Status,
    is_waiting: bool,
) -> str:
    """A try for one recipient ended. `delay`: seconds since the message came; `xdelay`: that the
    try took. `is_waiting`: there will be others."""
    if status.is_success:
        stat = f"Sent ({status})"
    else:
        stat = f"Deferred: {status.text}" if is_waiting else status.text
    return _line(
        queue_id,
        {
            "to": f"<{to}>",
            "delay": span(delay),
            "xdelay": span(xdelay),
            "mailer": mailer,
            "pri": str(priority),
            "relay": relay,
            "dsn": status.dsn_status,
            "stat": stat,
        },
    )


def span(seconds: float) -> str:
    """A length of time as sendmail logs it: 01:02:03, and with days 4+01:02:03."""
    days, rest = divmod(max(int(seconds), 0), _DAY)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}+{text}" if days else text


def _line(queue_id: str, values: dict[str, str]) -> str:
    told = ", ".join([f"{key}={value[:MAX_VALUE]}" for key, value in values.items() if value])
    return f"{queue_id}: {_one_line(told)}"


def clean(value: str) -> str:
    """One line of bounded length, whatever a stranger put in."""
    return _one_line(value[:MAX_VALUE])


def _one_line(text: str) -> str:
    return text if text.isprintable() else _UNSAFE.sub("?", text)
