"""A server out there whose TLS does not work gets its mail in the clear, on a second connection."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.queue.content import Content
from relaynode.queue.model import NewMessage


class Server:
    """Offers STARTTLS, and answers a handshake with nonsense or the end."""

    def __init__(self, ends):
        self.ends = ends
        self.dialogues = []

    async def serve(self, reader, writer):
        said = []
        self.dialogues.append(said)
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            verb = line.split()[0].upper().decode()
            said.append(verb)
            if verb == "EHLO":
                writer.write(b"250-mx\r\n250 STARTTLS\r\n")
            elif verb == "STARTTLS":
                writer.write(b"220 go\r\n")
                await reader.read(1)
                writer.write(b"" if self.ends else b"500 what is this?\r\n")
                break
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"250 ok\r\n")
            if verb == "QUIT":
                break
        writer.close()


@pytest.mark.parametrize("ends", [True, False])
def test_mail_goes_in_the_clear_once_where_tls_breaks(tmp_path, ends):
    server = Server(ends)

    async def play():
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        tables = {"mailertable": f"far.example esmtp:[127.0.0.1]:{port}\n"}
        node = TestNode(tmp_path, tables=tables).open()
        envelope = Envelope("user@bsd.home", (Recipient("x@far.example"),))
        content = Content.of(b"Subject: s\r\n\r\nbody\r\n")
        await node.store.add([NewMessage("A", envelope, b"", content, "test", node.clock())])
        result = await node.links.run_due("default")
        await node.close()
        listening.close()
        return result

    result = asyncio.run(play())
    assert (result.delivered, result.problems) == (1, [])
    first, second = server.dialogues
    assert first == ["EHLO", "STARTTLS"]
    assert second == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
