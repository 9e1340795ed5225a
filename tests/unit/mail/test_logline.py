"""Log lines in sendmail's form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail import logline
from relaynode.mail.status import Status, ok, permanent, temporary


def line(status, *, is_waiting=False, to="bob@x.example", relay="mx.example [192.0.2.1]"):
    return logline.attempt(
        "6ALG",
        to=to,
        delay=3661,
        xdelay=1.9,
        mailer="esmtp",
        priority=33600,
        relay=relay,
        status=status,
        is_waiting=is_waiting,
    )


@pytest.mark.parametrize(
    ("status", "is_waiting", "end"),
    [
        (ok("queued as 4711"), False, "dsn=2.0.0, stat=Sent (250 2.0.0 queued as 4711)"),
        (temporary("busy", "4.3.2"), True, "dsn=4.3.2, stat=Deferred: busy"),
        (Status(450, "", "busy"), True, "dsn=4.0.0, stat=Deferred: busy"),
        (permanent("User unknown", "5.1.1"), False, "dsn=5.1.1, stat=User unknown"),
    ],
)
def test_a_try_is_told_in_sendmails_words(status, is_waiting, end):
    assert line(status, is_waiting=is_waiting) == (
        "6ALG: to=<bob@x.example>, delay=01:01:01, xdelay=00:00:01, mailer=esmtp, pri=33600,"
        f" relay=mx.example [192.0.2.1], {end}"
    )


def test_an_arrival_is_told_with_its_message_id():
    told = logline.arrival(
        "6ALG",
        sender="",
        size_bytes=3600,
        recipients=2,
        message_id="<1@home>",
        relay="[192.0.2.7]",
        protocol="ESMTP",
    )
    assert told == (
        "6ALG: from=<>, size=3600, class=0, nrcpts=2, msgid=<1@home>, proto=ESMTP,"
        " relay=[192.0.2.7]"
    )


@given(st.text())
def test_whatever_a_stranger_says_a_log_line_is_one_short_line(text):
    told = line(Status(450, "", text), to=text, relay=text)
    assert len(told.splitlines()) == 1
    assert len(told) < 4 * logline.MAX_VALUE
    told.encode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00"), (-5, "00:00:00"), (86399, "23:59:59"), (4 * 86400 + 61, "4+00:01:01")],
)
def test_spans_are_sendmails(seconds, text):
    assert logline.span(seconds) == text
