"""Names of mailboxes on the line and for people."""

import pytest

from relaynode.errors import LocalProtocolError
from relaynode.imap.names import decode, encode

PAIRS = [
    ("INBOX", b"INBOX"),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 5.1.3
    ("R&D", b"R&-D"),
    ("Entwürfe", b"Entw&APw-rfe"),
    ("😀", b"&2D3eAA-"),
]


@pytest.mark.parametrize(("name", "written"), PAIRS)
def test_a_name_is_written_in_modified_utf7_and_read_again(name, written):
    assert encode(name) == written
    assert decode(written) == name


def test_inbox_is_the_same_in_any_case():
    assert encode("Inbox") == b"INBOX"


@pytest.mark.parametrize("name", ["", "a\r\nb", "a\0b", "\ud800"])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(LocalProtocolError):
        encode(name)


@pytest.mark.parametrize("written", [b"&!!!-", b"a&b", b"&AA-", b"\xff"])
def test_what_is_no_modified_utf7_is_shown_as_well_as_it_can_be(written):
    assert isinstance(decode(written), str)
