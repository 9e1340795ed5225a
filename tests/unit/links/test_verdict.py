"""What a failure means: the table at the top of the module, row by row."""

import pytest

from relaynode.errors import (
    ConnectFailed,
    FarHostSilent,
    LineLost,
    LoginRefused,
    NameServerFailed,
    RefusedError,
    RemoteProtocolError,
    TableError,
    TlsFailed,
)
from relaynode.links.verdict import Judge, Tried, counts, of_error
from relaynode.mail.envelope import Recipient
from relaynode.mail.status import Status, ok, permanent, temporary
from relaynode.queue.model import QueuedRecipient, Result
from relaynode.queue.retry import DAY, RetryPolicy

NOW = 1_800_000_000.0
JUDGE = Judge(RetryPolicy())


def recipient(attempts=0, aged_seconds=0.0, last_attempt_at=0.0):
    return QueuedRecipient(
        1,
        Recipient("a@x.example"),
        attempts=attempts,
        aged_seconds=aged_seconds,
        last_attempt_at=last_attempt_at,
    )


@pytest.mark.parametrize(
    ("error", "enhanced", "reason"),
    [
        (ConnectFailed("x", reason="dns-no-such-host"), "4.4.1", "dns-no-such-host"),
        (ConnectFailed("x"), "4.4.1", "connect-failed"),
        (LineLost("x"), "4.4.1", "line-lost"),
        (TlsFailed("x", reason="tls-certificate"), "4.4.1", "tls-certificate"),
        (RemoteProtocolError("x"), "4.5.0", "protocol-error"),
        (TableError("x"), "4.3.5", "table-unreadable"),
        (
            RefusedError(Status(554, "5.3.2", "no"), "x", "greeting-refused"),
            "4.3.2",
            "greeting-refused",
        ),
        (RefusedError(Status(421, "4.3.2", "no"), "x"), "4.3.2", "closing-421"),
        (RefusedError(Status(450, "", "no"), "x"), "", "refused"),
        (LoginRefused(Status(535, "5.7.8", "no"), "x"), "4.7.8", "auth-refused"),
        (ZeroDivisionError("x"), "4.3.0", "local-error"),
    ],
)
def test_what_ends_a_session_is_temporary_for_its_mail(error, enhanced, reason):
    tried = of_error(error)
    assert tried.status.is_temporary
    assert (tried.status.enhanced, tried.code) == (enhanced, reason)


@pytest.mark.parametrize(
    ("status", "result", "reason"),
    [
        (ok("yes"), Result.DELIVERED, "delivered"),
        (temporary("later"), Result.DEFERRED, "deferred-by-server"),
        (permanent("no", "5.1.1"), Result.FAILED, "rejected-recipient"),
    ],
)
def test_a_status_means_what_its_class_says(status, result, reason):
    outcome = JUDGE.outcome("A", recipient(), Tried(status), NOW)
    assert (outcome.result, outcome.reason) == (result, reason)


def test_content_without_its_final_reply_may_have_been_accepted():
    tried = Tried(temporary("gone"), "line-lost", in_doubt=True)
    assert JUDGE.outcome("A", recipient(), tried, NOW).reason == "may-have-been-accepted"


@pytest.mark.parametrize(
    ("aged_days", "attempts", "is_attempt", "result"),
    [
        (4.5, 4, True, Result.FAILED),
        (3.9, 4, True, Result.DEFERRED),
        (4.5, 3, True, Result.DEFERRED),
        (30, 30, False, Result.DEFERRED),
    ],
)
def test_it_fails_when_it_has_aged_enough_and_was_attempted_often_enough(
    aged_days, attempts, is_attempt, result
):
    given = recipient(attempts, aged_days * DAY, NOW - DAY)
    outcome = JUDGE.outcome("A", given, Tried(temporary("later")), NOW, is_attempt=is_attempt)
    assert outcome.result is result
    assert outcome.reason == ("expired" if result is Result.FAILED else "deferred-by-server")


@pytest.mark.parametrize(
    ("reason", "is_always_up", "is_line_heard", "is_attempt"),
    [
        ("connect-refused", False, False, True),
        ("dns-no-such-host", False, False, True),
        ("connect-timeout", False, False, False),
        ("connect-timeout", False, True, True),
        ("connect-timeout", True, False, True),
        ("dns-temporary", False, False, False),
        ("no-network", True, True, False),
        ("call-failed", True, True, False),
        ("called-off", True, True, False),
        ("", False, False, True),
    ],
)
def test_what_counts_as_an_attempt(reason, is_always_up, is_line_heard, is_attempt):
    tried = Tried(temporary("x"), reason)
    found = counts(tried, is_always_up=is_always_up, is_line_heard=is_line_heard)
    assert found is is_attempt


@pytest.mark.parametrize(
    ("error", "is_attempt"),
    [
        (FarHostSilent("x", reason="connect-timeout"), True),
        (FarHostSilent("x", reason="no-network"), False),
        (NameServerFailed("SERVFAIL"), True),
        (NameServerFailed("silent", is_silent=True), False),
    ],
)
def test_where_the_dns_has_answered_the_line_was_there(error, is_attempt):
    tried = of_error(error)
    assert counts(tried, is_always_up=False, is_line_heard=False) is is_attempt


def test_a_gap_ages_by_a_day_at_most_and_the_first_attempt_by_nothing():
    assert JUDGE.aged(recipient(), NOW) == 0
    assert JUDGE.aged(recipient(1, 10.0, NOW - 60), NOW) == 70
    assert JUDGE.aged(recipient(1, 10.0, NOW - 30 * DAY), NOW) == DAY + 10
    assert JUDGE.aged(recipient(1, 10.0, NOW + 60), NOW) == 10, "the clock was put back"
