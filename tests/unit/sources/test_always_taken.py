"""Mail for postmaster and abuse (RFC 5321 4.5.1, RFC 2142) is taken, whatever the tables say."""

import pytest

from relaying import NODE_KEYS, SECTIONS, STRANGER
from unit.sources.smtp_talk import node_in as plain_node
from unit.sources.smtp_talk import talk_to

TABLES = {
    "access": "To:postmaster@ REJECT\nTo:abuse@ REJECT\nTo:bsd.home REJECT\n"
    "To:ours.example REJECT\nTo:virtual.example REJECT\n",
    "virtusertable": "@virtual.example error:nouser nobody here\n",
}


def recipients(node, address, sender=b"<a@b.example>"):
    said, queued = talk_to(node, STRANGER, b"MAIL FROM:" + sender, b"RCPT TO:" + address)
    return said.splitlines()[-2][:3], [
        one.forward_path.address for message in queued for one in message.recipients
    ]


@pytest.mark.parametrize(
    "address",
    [
        b"<postmaster>",
        b"<Postmaster@bsd.home>",
        b"<POSTMASTER@OURS.EXAMPLE.>",
        b'<"postmaster"@bsd.home>',
        b"<abuse@bsd.home>",
        b"<abuse@ours.example>",
        b"<postmaster@virtual.example>",
    ],
)
def test_mail_for_them_is_taken(tmp_path, address):
    node = plain_node(tmp_path, SECTIONS, node_keys=NODE_KEYS, tables=TABLES)
    assert recipients(node, address)[0] == b"250"


@pytest.mark.parametrize(
    "address", [b"<user@bsd.home>", b"<postmaster@far.example>", b"<abuse@kept.example>"]
)
def test_others_and_elsewhere_the_tables_hold(tmp_path, address):
    node = plain_node(tmp_path, SECTIONS, node_keys=NODE_KEYS, tables=TABLES)
    assert recipients(node, address)[0] == b"550"


def test_with_delayed_checks_even_a_refused_client_is_heard(tmp_path):
    tables = {"access": f"Connect:{STRANGER} REJECT\nFrom:b.example REJECT\n"}
    sections = '[access]\ndelay_checks = "yes"\n'
    node = plain_node(tmp_path, sections, tables=tables)
    assert recipients(node, b"<postmaster>")[0] == b"250"
    assert recipients(node, b"<user>")[0] == b"550"


def test_who_has_no_mailbox_is_heard_by_the_node_s_postmaster(tmp_path):
    node = plain_node(tmp_path, users=("user",), node_keys='postmaster = "user"')
    said, queued = talk_to(
        node,
        STRANGER,
        b"MAIL FROM:<>",
        b"RCPT TO:<abuse@bsd.home>",
        b"DATA",
        b"Subject: s\r\n\r\nspam\r\n.",
    )
    assert [one.forward_path.address for one in queued[0].recipients] == ["user"], said
