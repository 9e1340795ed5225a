"""How many bytes a session's commands have, asked of the core that would send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relaynode.smtp.transaction import Transaction

USUAL_EXTENSIONS = {
    "PIPELINING": "",
    "SIZE": "52428800",
    "ENHANCEDSTATUSCODES": "",
    "8BITMIME": "",
    "DSN": "",
    "CHUNKING": "",
}
"""What a server is taken to offer that nobody has spoken with yet: most do."""

_RSET = len("RSET\r\n")


def hello_reply(extensions: Mapping[str, str], name: str) -> bytes:
    """An answer to EHLO that offers these, by a server of that name."""
    lines = [name, *(f"{key} {value}".rstrip() for key, value in extensions.items())]
    text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
    return text.encode()


def command_bytes(transaction: Transaction, extensions: Mapping[str, str], hostname: str) -> int:
    """Of one transaction among others, its content apart. Raises: LocalProtocolError."""
    offered = dict(extensions)
    if "PIPELINING" not in offered:  # one by one they are as many as together
        offered.pop("CHUNKING", None)
        offered["PIPELINING"] = ""
    client = Client(hostname)
    client.receive(b"220 server\r\n")
    client.hello()
    client.receive(hello_reply(offered, "server"))
    client.data_to_send()
    client.begin(transaction)
    return client.unsent_bytes + (_RSET if client.mode is Mode.CHUNKED else 0)
