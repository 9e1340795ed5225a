"""Strangers' tricks to relay through us, on the SMTP source with its policy: none leads outside."""

import pytest

from relaying import LEGITIMATE, NODE_KEYS, SECTIONS, STRANGER, TABLES, USERS, relay_attempts
from relaynode.policy.expand import final_route
from unit.sources.smtp_talk import node_in, talk_to

ATTEMPTS = relay_attempts()
SERVED = ("kept.example", "friend.example")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relaying")
    return node_in(folder, SECTIONS, users=USERS, node_keys=NODE_KEYS, tables=TABLES)


def letter(sender, recipient):
    # Without an accepted recipient DATA is refused, and so is what follows it.
    return (
        b"MAIL FROM:" + sender,
        b"RCPT TO:" + recipient,
        b"DATA",
        b"Subject: s\r\n\r\nspam\r\n.",
    )


def leaves(node, recipient):
    """Does mail for a queued recipient go to a host that we have no business with?"""
    path = recipient.forward_path
    route = final_route(node.rules.routing, path)
    return route.mailer not in ("local", "error") and not path.address.endswith(SERVED)


def test_there_are_a_hundred_attempts_and_no_two_alike():
    assert len(ATTEMPTS) >= 100
    assert len({(one.sender, one.recipient) for one in ATTEMPTS}) == len(ATTEMPTS)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda one: f"{one.trick}: {one.recipient!r}")
def test_a_stranger_relays_nothing(node, attempt):
    said, queued = talk_to(node, STRANGER, *letter(attempt.sender, attempt.recipient))
    assert b"\r\n221 " in said or b"\r\n421 " in said
    assert [one for message in queued for one in message.recipients if leaves(node, one)] == []
    # Nor is it taken for what it is not, and nobody has a mailbox of that name.
    assert queued == []


@pytest.mark.parametrize(("client", "recipient"), LEGITIMATE)
def test_mail_that_may_pass_passes(node, client, recipient):
    said, queued = talk_to(node, client, *letter(b"<a@b.example>", recipient.encode()))
    assert len(queued) == 1, said
