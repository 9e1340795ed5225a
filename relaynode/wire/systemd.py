"""What systemd and we tell each other: sockets it has opened for us, and that we are ready.

    $LISTEN_PID      whom the sockets are for: a child of ours must not take them for its own
    $LISTEN_FDS      how many there are, from descriptor 3 on          (sd_listen_fds(3))
    $NOTIFY_SOCKET   where to say READY=1 and STOPPING=1               (sd_notify(3))

Without these variables, nothing happens. They are taken out, so that no program we run sees them.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIRST_DESCRIPTOR = 3
MAX_DESCRIPTORS = 1024
"""More sockets than anybody opens for a mail server."""

READY = "READY=1"
STOPPING = "STOPPING=1"


def handed_over(
    environ: MutableMapping[str, str] = os.environ, first: int = FIRST_DESCRIPTOR
) -> list[socket.socket]:
    """The listening TCP sockets that systemd has opened for us; ours to close. `first`: the
    descriptor they begin at."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) > MAX_DESCRIPTORS:
        return []
    found = (_listening(descriptor) for descriptor in range(first, first + int(count)))
    return [one for one in found if one is not None]


def _listening(descriptor: int) -> socket.socket | None:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        return None
    is_ours = found.family in (socket.AF_INET, socket.AF_INET6) and _accepts(found)
    if not is_ours:
        found.close()
        return None
    found.set_inheritable(False)
    return found


def _accepts(found: socket.socket) -> bool:
    return found.type == socket.SOCK_STREAM and bool(
        found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )


def notify(state: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Tell systemd, if it has asked to be told. That it cannot be told is no trouble of ours."""
    place = environ.get("NOTIFY_SOCKET", "")
    if place[:1] not in ("/", "@"):
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection,
    ):
        connection.sendto(state.encode(), address)
