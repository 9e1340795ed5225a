"""Marks of a message that goes round in a circle, and what only looks like them."""

import pytest

from relaynode.mail.loops import came_before

OURS = "Received: from pop.example.net by gate.example.org (any 1) with {} id 1 for <{}>; date"
OTHER = "Received: from a by mx.example.net with ESMTP id 2 for <{}>; date"


def seen(*lines, recipients=("ann",)):
    header = "".join(f"{line}\r\n" for line in (*lines, "Subject: s", "")).encode()
    return came_before(header, "gate.example.org", recipients)


@pytest.mark.parametrize("protocol", ["POP3", "IMAP", "POP3S"])
def test_mail_that_was_fetched_for_the_same_recipient_comes_again(protocol):
    lines = (OTHER.format("box@example.net"), OURS.format(protocol, "ann@Gate.example.org"))
    assert seen(*lines) == "it was fetched for ann@Gate.example.org before"
    assert seen(OTHER.format("x@y"), OURS.format(protocol, "ann"))


def test_mail_that_was_delivered_here_before_comes_again():
    lines = (OTHER.format("x@y"), "Delivered-To: ann@gate.example.org", OURS.format("ESMTP", "a@b"))
    assert seen(*lines) == "it was delivered to ann@gate.example.org here before"


@pytest.mark.parametrize(
    "lines",
    [
        # Somebody here wrote to somebody whose mailbox we fetch.
        (OTHER.format("box@example.net"), OURS.format("ESMTP", "box@example.net")),
        # The server of the mailbox names the recipient, whose domain is ours too.
        ("Delivered-To: ann@gate.example.org", OTHER.format("ann@gate.example.org")),
        (
            "Delivered-To: ann@gate.example.org",
            OTHER.format("ann@gate.example.org"),
            OURS.format("ESMTP", "ann@gate.example.org"),
        ),
        # Fetched here for somebody else: a list that lives here, say.
        (OTHER.format("ann"), OURS.format("POP3", "list@gate.example.org")),
        # Another host that fetches mail.
        (OURS.format("POP3", "ann").replace("gate.", "far."),),
        (),
    ],
)
def test_what_is_no_loop(lines):
    assert seen(*lines) == ""
