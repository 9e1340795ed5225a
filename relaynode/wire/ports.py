"""Listening sockets that were opened before the daemon listens on them: by systemd, or by root
before it became somebody else.

They stay open for as long as the process runs. A daemon that reads its configuration again closes
its own copies, and listens on the same sockets again without any rights.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

from relaynode.errors import ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.config.values import ListenAddress

BACKLOG = 256


class Ports:
    """Open sockets, by what they listen on."""

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets = {_place(one): one for one in sockets}
        self._used: set[tuple[str, int]] = set()

    def __enter__(self) -> Ports:
        """To be closed in the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more, but for what was taken."""
        for opened in self._sockets.values():
            opened.close()

    def bind(self, where: ListenAddress) -> None:
        """Open one of our own, unless there is one. Raises: ConnectFailed."""
        if self._find(where) is not None:
            return
        opened = listening_socket(where)
        self._sockets[_place(opened)] = opened

    def take(self, where: ListenAddress) -> socket.socket | None:
        """A copy of the socket that listens there, to be closed by who takes it; None if there is
        no such."""
        place = self._find(where)
        if place is None:
            return None
        self._used.add(place)
        return self._sockets[place].dup()

    def close_unused(self) -> list[str]:
        """Close what nobody has taken since this was last called, or clients would be let in and
        wait for nobody; what it was, for people."""
        places = [place for place in self._sockets if place not in self._used]
        self._used.clear()
        for place in places:
            self._sockets.pop(place).close()
        return [_shown(*place) for place in places]

    def _find(self, where: ListenAddress) -> tuple[str, int] | None:
        place = str(where.address), where.port
        return place if place in self._sockets else None


def listening_socket(where: ListenAddress) -> socket.socket:
    """A socket that listens there. Raises: ConnectFailed if the address cannot be had."""
    is_six = where.address.version == 6
    opened = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_six:  # IPv4 has a listener of its own
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((str(where.address), where.port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise ConnectFailed(f"cannot listen on {where}: {_why_not(error)}") from error
    return opened


def _why_not(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"{error.strerror}: ports below 1024 are root's to open, at a start"
    return str(error.strerror)


def _place(listening: socket.socket) -> tuple[str, int]:
    name = listening.getsockname()
    return str(ipaddress.ip_address(name[0].partition("%")[0])), int(name[1])


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
