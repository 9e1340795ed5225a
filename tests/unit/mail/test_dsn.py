"""Delivery status notifications."""

from __future__ import annotations

import email
from email.message import Message
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.dsn import Action, Failure, Notice, build
from relaynode.mail.header import first_value
from relaynode.mail.status import Status

NOW = 1795278758.0  # Sat, 21 Nov 2026 16:32:38 UTC
ORIGINAL = b"Subject: test\r\nTo: x\r\n\r\nhello\r\n"
NO_USER = Failure("nosuchuser", Status(550, "5.1.1", "User unknown"), NOW)
REFUSED = Failure(
    "reject@out.example",
    Status(550, "5.1.1", "<reject> no such mailbox here"),
    NOW,
    remote_mta="relay.example.net",
    dialogue=(
        ">>> RCPT To:<reject@out.example>",
        "<<< 550 5.1.1 <reject> no such mailbox here",
    ),
)
DOWN = Failure(
    "carol@down.example",
    Status(450, "4.4.1", "Connection timed out with [198.51.100.200]"),
    NOW,
    remote_mta="[198.51.100.200]",
)


def make(
    *failures: Failure,
    original: bytes = ORIGINAL,
    original_is_complete: bool = True,
    action: Action = "failed",
    age_seconds: float = 0,
    envid: str = "",
    reverse_path: str = "alice@gate.example.org",
    reporting_mta: str = "gate.example.org",
    from_text: str = "from root@localhost",
    retry_until: float | None = None,
    for_postmaster: bool = False,
) -> Notice:
    return build(
        failures,
        reporting_mta=reporting_mta,
        queue_id="6ALGWcbx005807",
        arrived_at=NOW - age_seconds,
        envid=envid,
        original=original,
        original_is_complete=original_is_complete,
        reverse_path=reverse_path,
        from_text=from_text,
        now=NOW,
        action=action,
        retry_until=retry_until,
        for_postmaster=for_postmaster,
    )


def parts(notice: Notice) -> list[Message]:
    """The three parts, as another program reads them."""
    whole = email.message_from_bytes(notice.content)
    assert whole.get_content_type() == "multipart/report"
    assert whole.get_param("report-type") == "delivery-status"
    assert not whole.defects
    return cast("list[Message]", whole.get_payload())


def text_for_people(notice: Notice) -> str:
    return cast("str", parts(notice)[0].get_payload())


def groups(notice: Notice) -> list[Message]:
    """The field groups of the delivery-status part."""
    return cast("list[Message]", parts(notice)[1].get_payload())


SAMPLE = """\
Date: Sat, 21 Nov 2026 16:32:38 +0000
From: Mail Delivery Subsystem <MAILER-DAEMON@gate.example.org>
Message-Id: <202611211632.6ALGWcbx005807@gate.example.org>
To: alice@gate.example.org
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="6ALGWcbx005807.1795278758/gate.example.org"
Subject: Returned mail: see transcript for details
Auto-Submitted: auto-generated (failure)

This is a MIME-encapsulated message

--6ALGWcbx005807.1795278758/gate.example.org

The original message was received at Sat, 21 Nov 2026 16:32:38 +0000
from root@localhost

   ----- The following addresses had permanent fatal errors -----
nosuchuser
    (reason: 550 5.1.1 User unknown)
reject@out.example
    (reason: 550 5.1.1 <reject> no such mailbox here)

   ----- Transcript of session follows -----
550 5.1.1 nosuchuser... User unknown
... while talking to relay.example.net.:
>>> RCPT To:<reject@out.example>
<<< 550 5.1.1 <reject> no such mailbox here
550 5.1.1 reject@out.example... <reject> no such mailbox here

--6ALGWcbx005807.1795278758/gate.example.org
Content-Type: message/delivery-status

Reporting-MTA: dns; gate.example.org
Arrival-Date: Sat, 21 Nov 2026 16:32:38 +0000

Final-Recipient: RFC822; nosuchuser@gate.example.org
X-Actual-Recipient: rfc822; nosuchuser@gate.example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: SMTP; 550 5.1.1 User unknown
Last-Attempt-Date: Sat, 21 Nov 2026 16:32:38 +0000

Final-Recipient: RFC822; reject@out.example
X-Actual-Recipient: rfc822; reject@out.example
Action: failed
Status: 5.1.1
Remote-MTA: DNS; relay.example.net
Diagnostic-Code: SMTP; 550 5.1.1 <reject> no such mailbox here
Last-Attempt-Date: Sat, 21 Nov 2026 16:32:38 +0000

--6ALGWcbx005807.1795278758/gate.example.org
Content-Type: message/rfc822

Subject: test
To: x

hello

--6ALGWcbx005807.1795278758/gate.example.org--
"""


def test_a_failure_looks_as_sendmail_would_write_it() -> None:
    notice = make(NO_USER, REFUSED)
    assert notice.content.decode("ascii") == SAMPLE.replace("\n", "\r\n")
    assert not notice.is_8bit


def test_another_program_reads_the_three_parts() -> None:
    assert [part.get_content_type() for part in parts(make(NO_USER))] == [
        "text/plain",
        "message/delivery-status",
        "message/rfc822",
    ]
    message, recipient = groups(make(NO_USER))
    assert message["Reporting-MTA"] == "dns; gate.example.org"
    assert recipient["Status"] == "5.1.1"


def test_the_header_alone_is_returned_without_its_empty_line() -> None:
    notice = make(NO_USER, original_is_complete=False)
    assert notice.content.endswith(
        b"\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: test\r\nTo: x\r\n\r\n"
        b"--6ALGWcbx005807.1795278758/gate.example.org--\r\n"
    )


def test_envelope_id_and_original_recipient_come_back_decoded() -> None:
    failure = Failure("bob@x", NO_USER.status, NOW, orcpt="rfc822;bob+2Bwork@example.org")
    message, recipient = groups(make(failure, envid="QQ+2B314159"))
    assert message["Original-Envelope-Id"] == "QQ+314159"
    assert recipient["Original-Recipient"] == "rfc822; bob+work@example.org"


def test_values_of_strangers_cannot_add_lines() -> None:
    failure = Failure(
        "bob@x",
        Status(550, "5.1.1", "no\r\nAction: delivered"),
        NOW,
        orcpt="rfc822;bob+0D+0AStatus:2.0.0",
        remote_mta="evil\r\n\r\n--x",
        dialogue=("<<< 550 a\r\nb\0c",),
    )
    content = make(failure, envid="id+0D+0AX-Evil:1").content
    message, recipient = groups(make(failure, envid="id+0D+0AX-Evil:1"))
    assert message["Original-Envelope-Id"] == "id X-Evil:1"
    assert message["X-Evil"] is None
    assert recipient.get_all("Status") == ["5.1.1"]
    assert recipient.get_all("Action") == ["failed"]
    assert b"\0" not in content


def test_a_wrong_envelope_id_is_shown_as_it_came() -> None:
    assert groups(make(NO_USER, envid="no=xtext"))[0]["Original-Envelope-Id"] == "no=xtext"


def test_an_expanded_address_is_final_as_it_was_given_and_actual_as_it_was_tried() -> None:
    failure = Failure("reject@out.example", NO_USER.status, NOW, expanded_from="staff")
    notice = make(failure)
    assert groups(notice)[1]["Final-Recipient"] == "RFC822; staff@gate.example.org"
    assert groups(notice)[1]["X-Actual-Recipient"] == "rfc822; reject@out.example"
    assert b"\r\n    (expanded from: staff)\r\n" in notice.content


def test_a_program_is_shown_in_quotes_and_typed_as_such() -> None:
    failure = Failure("|/bin/false", Status(554, "5.3.0", "exit 1"), NOW, expanded_from="prog")
    notice = make(failure)
    assert b'\r\n"|/bin/false"\r\n' in notice.content
    assert groups(notice)[1]["X-Actual-Recipient"] == "X-Unix; |/bin/false"


def test_a_delay_says_that_we_keep_trying() -> None:
    retry_until = NOW - 4 * 3600 + 5 * 86400
    notice = make(DOWN, action="delayed", age_seconds=4 * 3600 + 59, retry_until=retry_until + 1)
    assert first_value(notice.content, b"subject") == (
        b"Warning: could not send message for past 4 hours"
    )
    assert first_value(notice.content, b"auto-submitted") == b"auto-generated (warning-timeout)"
    text = text_for_people(notice)
    assert text.startswith("    *****")
    assert "YOU DO NOT NEED TO RESEND YOUR MESSAGE" in text
    assert text.endswith(
        "carol@down.example... Deferred: Connection timed out with [198.51.100.200]\r\n"
        "Warning: message still undelivered after 4 hours\r\n"
        "Will keep trying until message is 5 days old\r\n"
    )
    recipient = groups(notice)[1]
    assert recipient["Action"] == "delayed"
    assert recipient["Status"] == "4.4.1"
    assert recipient["Will-Retry-Until"] == "Thu, 26 Nov 2026 12:32:39 +0000"


def test_a_delay_without_a_limit_names_none() -> None:
    notice = make(DOWN, action="delayed", age_seconds=60)
    assert text_for_people(notice).endswith("Will keep trying\r\n")
    assert groups(notice)[1]["Will-Retry-Until"] is None


def test_mail_given_up_on_has_expired() -> None:
    notice = make(DOWN, age_seconds=5 * 86400)
    text = text_for_people(notice)
    assert "(reason:" not in text
    assert text.endswith(
        "carol@down.example... Deferred: Connection timed out with [198.51.100.200]\r\n"
        "Message could not be delivered for 5 days\r\n"
        "Message will be deleted from queue\r\n"
    )
    assert groups(notice)[1]["Status"] == "4.4.7"
    assert groups(notice)[1]["Action"] == "failed"


def test_a_delivery_that_was_asked_for_is_confirmed() -> None:
    failure = Failure("bob", Status(250, "2.1.5", "Ok"), NOW)
    notice = make(failure, action="delivered", original_is_complete=False)
    assert first_value(notice.content, b"subject") == b"Return receipt"
    assert b"\r\nbob  (successfully delivered to mailbox)\r\n" in notice.content
    assert b"\r\nbob... Successfully delivered\r\n" in notice.content
    assert groups(notice)[1]["Action"] == "delivered"


def test_the_postmaster_is_told_in_other_words() -> None:
    notice = make(NO_USER, reverse_path="postmaster", for_postmaster=True)
    assert first_value(notice.content, b"subject") == (
        b"Postmaster notify: see transcript for details"
    )
    assert first_value(notice.content, b"auto-submitted") == (
        b"auto-generated (postmaster-notification)"
    )


@pytest.mark.parametrize("original_is_complete", [True, False])
def test_an_8bit_original_is_declared_on_the_part_and_on_the_whole(
    original_is_complete: bool,
) -> None:
    original = b"Subject: caf\xe9\r\n\r\nbody\r\n"
    notice = make(NO_USER, original=original, original_is_complete=original_is_complete)
    assert notice.is_8bit
    assert first_value(notice.content, b"content-transfer-encoding") == b"8bit"
    assert notice.content.count(b"Content-Transfer-Encoding: 8bit\r\n") == 2
    assert b"Subject: caf\xe9\r\n" in notice.content


def test_an_8bit_body_that_is_not_returned_does_not_make_the_notice_8bit() -> None:
    notice = make(NO_USER, original=b"A: b\r\n\r\n\xe9\r\n", original_is_complete=False)
    assert not notice.is_8bit


def test_text_outside_ascii_in_a_reply_is_written_in_ascii() -> None:
    notice = make(Failure("bob@x", Status(550, "5.1.1", "déjà vu"), NOW))
    assert notice.content.isascii()
    assert not notice.is_8bit


def test_an_internationalised_recipient_has_its_own_type() -> None:
    recipient = groups(make(Failure("andré@x", NO_USER.status, NOW)))[1]
    assert recipient["Final-Recipient"] == r"utf-8; andr\x{E9}@x"


def test_the_boundary_occurs_nowhere_in_the_original() -> None:
    boundary = b"6ALGWcbx005807.1795278758/gate.example.org"
    original = ORIGINAL + b"--" + boundary + b"--\r\n" + boundary + b".1\r\n"
    notice = make(NO_USER, original=original)
    assert b'boundary="' + boundary + b'.2"' in notice.content
    assert len(parts(notice)) == 3


def test_a_boundary_has_at_most_70_characters() -> None:
    notice = make(NO_USER, reporting_mta="a" * 60 + ".example.org")
    boundary = email.message_from_bytes(notice.content).get_boundary()
    assert boundary is not None
    assert len(boundary) == 70


def test_an_original_without_a_final_line_end_gets_one() -> None:
    assert b"hello\r\n\r\n--" in make(NO_USER, original=b"A: b\r\n\r\nhello").content


@pytest.mark.parametrize(
    ("failures", "reverse_path"), [((), "alice@x"), ((NO_USER,), "")], ids=["no failure", "null"]
)
def test_a_notice_about_nothing_or_to_nobody_is_a_defect_of_the_caller(
    failures: tuple[Failure, ...], reverse_path: str
) -> None:
    with pytest.raises(ValueError, match="DSN"):
        make(*failures, reverse_path=reverse_path)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=2000), st.binary(max_size=200))
def test_any_input_makes_three_parts_in_lines_of_legal_length(
    address: str, orcpt: str, text: str, original: bytes
) -> None:
    failure = Failure(
        address, Status(550, "5.0.0", text), NOW, orcpt=f"rfc822;{orcpt}", dialogue=(text,)
    )
    notice = make(failure, original=original, envid=orcpt, from_text=text)
    assert len(parts(notice)) == 3
    head, _, _ = notice.content.partition(b"Content-Type: message/rfc822")
    for line in head.split(b"\r\n"):
        assert len(line) <= 998
        assert b"\n" not in line
        assert b"\r" not in line
