"""The words between commands and the daemon, on the unix socket `control` in the spool.

    request     verb NUL count NUL argument NUL ... argument NUL
    body        only of "submit": pieces of the message, each behind its length in four bytes
                (big-endian), and a length of 0: a caller that dies does not seem to have finished
                of "uucp-queue": contents, each in such pieces, one after the other
                of "rmail" (arguments: UU_MACHINE, the program's name, its own): as of "submit"
    answer      to "submit" and "rmail": exit code NUL text NUL
                to "smtp": the dialogue, which goes on as long as both sides like
                to all others: lines of JSON, the last one {"exit": code, "text": text}

The kernel says who is calling. The fast `sendmail` (cli/launcher.py) speaks this too, with nothing
imported; keep both in step.
"""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass

from relaynode.errors import RemoteProtocolError

QUEUE_WISHES = "uucp-queue"
CALL_SOON = "call"
"""Behind the wishes: the neighbours are not only to be called when their time has come."""

MAX_REQUEST_BYTES = 1024 * 1024
"""ARG_MAX of many systems: no command line is longer."""

MAX_ARGUMENTS = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, and the bytes of the body that came along."""

    verb: str
    arguments: tuple[str, ...]
    body_start: bytes


def encode_request(verb: str, arguments: list[str]) -> bytes:
    """The bytes of a request, without a body."""
    words = [verb, str(len(arguments)), *arguments]
    return b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def decode_request(data: bytes) -> Request | None:
    """The request at the start of `data`; None while it is incomplete.

    Raises: RemoteProtocolError.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise RemoteProtocolError("request too long")
    parts = data.split(b"\0", 2)
    if len(parts) < 3:
        return None
    verb, number, rest = parts
    if not (number.isdigit() and int(number) <= MAX_ARGUMENTS):
        raise RemoteProtocolError("request without a count")
    count = int(number)
    words = rest.split(b"\0", count)
    if len(words) <= count:
        return None
    arguments = tuple(word.decode("utf-8", "surrogateescape") for word in words[:count])
    return Request(verb.decode("ascii", "replace"), arguments, words[count])


def caller_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end, from the kernel (unix(7), unix(4))."""
    if sys.platform == "linux":
        size = struct.calcsize("3i")
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        _, uid, _ = struct.unpack("3i", credentials)
        return int(uid)
    # FreeBSD: LOCAL_PEERCRED at level 0 gives struct xucred: version, uid, ...
    credentials = connection.getsockopt(0, 1, 256)
    _, uid = struct.unpack_from("II", credentials)
    return int(uid)
