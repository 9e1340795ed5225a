"""The plan's commands have as many bytes as those that a session sends."""

import pytest

from relaynode.mail.envelope import Recipient
from relaynode.mailers.smtp_size import USUAL_EXTENSIONS, command_bytes, hello_reply
from relaynode.smtp.client import Client
from relaynode.smtp.transaction import Transaction

ALL = {**USUAL_EXTENSIONS, "XRELAYNODE-ONCE": "", "SMTPUTF8": ""}


def transaction(size):
    recipients = [Recipient("bob@x.example", "NEVER"), Recipient("ann@y.example")]
    return Transaction(
        None, "me@bsd.home", recipients, size, is_8bit=True, ret="HDRS", once_id="1@bsd.home"
    )


@pytest.mark.parametrize("extensions", [ALL, USUAL_EXTENSIONS, {"PIPELINING": ""}, {}])
def test_they_are_those_of_the_core(extensions):
    client = Client("bsd.home")
    client.receive(b"220 hello\r\n")
    client.hello()
    client.receive(hello_reply(extensions, "server"))
    client.data_to_send()
    sent, is_pipelined = b"", "PIPELINING" in extensions
    client.begin(transaction(4))
    if "CHUNKING" in extensions:
        client.send_content(b"abcd")
        client.end_content()
        client.data_to_send()
        client.begin(transaction(4))  # behind another, with RSET
        sent = client.data_to_send()
        assert sent.startswith(b"RSET\r\n")
    else:
        sent = client.data_to_send()
        for _ in () if is_pipelined else range(3):
            client.receive(b"250 ok\r\n")
            sent += client.data_to_send()
        assert sent.endswith(b"DATA\r\n")
    assert command_bytes(transaction(4), extensions, "bsd.home") == len(sent)
