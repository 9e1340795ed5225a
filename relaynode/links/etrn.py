"""ETRN (RFC 1985): asking a server that keeps our mail, a secondary MX, to send it now.

The mail comes later, on connections that the server makes to us; so somebody must be listening.
Here is only how they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relaynode.errors import RefusedError
from relaynode.mail.status import permanent
from relaynode.mailers.smtp_opening import open_session
from relaynode.queue.servers import KnownServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relaynode.mail.status import Status
    from relaynode.mailers.smtp_hop import NextHop

_MEANING = {
    458: "cannot send now",
    459: "does not send to us at our asking",
    500: "knows no ETRN",
    501: "does not understand the name",
    502: "knows no ETRN",
    530: "wants a login first",
}
"""What a server means; RFC 1985 section 5 has the codes of its own."""


@dataclass(slots=True)
class Asked:
    """What a server was asked, and what it said. `server`: the name of its [etrn] table."""

    server: str
    what: str
    status: Status

    @property
    def problem(self) -> str:
        """Why nothing will come; "" if the server agreed."""
        if self.status.is_success:
            return ""
        meaning = _MEANING.get(self.status.code, "refuses")
        return f"{meaning}: {self.what}: {self.status}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        code, text = self.status.code, self.status.text
        return {"server": self.server, "asked_for": self.what, "code": code, "text": text}


async def ask(
    name: str,
    hop: NextHop,
    wanted: Sequence[str],
    asked: list[Asked],
    *,
    hostname: str,
    clock: Callable[[], float],
) -> None:
    """Ask for each of `wanted`: a domain, `@domain` with all below it, or `#queue`.

    `asked` gets the answers as they come; a refusal of one is no reason not to ask for the next.
    `clock`: monotonic seconds. Raises: WireError, RefusedError, ProtocolError, TableError.
    """
    stream = await hop.open()
    try:
        dialogue = await open_session(stream, hop, KnownServer(), hostname=hostname, clock=clock)
        if "ETRN" not in dialogue.client.extensions:
            raise RefusedError(permanent("ETRN is not offered", "5.5.1", 502), stream.peer)
        for what in wanted:
            reply = await dialogue.ask(f"ETRN {what}")
            asked.append(Asked(name, what, reply.status))
        await dialogue.say_goodbye()
    finally:
        stream.abort()
