"""When a silent peer is given up."""

from relaynode.uucp.lines.patience import (
    MAX_UNSEEN_BYTES,
    SLOWEST_BYTES_PER_SECOND,
    Patience,
)


def started(timeout_seconds=30.0):
    patience = Patience(timeout_seconds)
    patience.heard(0)
    return patience


def test_with_nothing_on_the_way_it_is_the_time_out():
    patience = started()
    assert patience.ends_at == 30
    patience.heard(5)
    assert patience.ends_at == 35


def test_what_is_on_the_way_is_given_its_time_at_the_slowest_rate():
    patience = started()
    patience.sent(1000, 10)
    assert patience.ends_at == 10 + 1000 / SLOWEST_BYTES_PER_SECOND + 30


def test_bytes_that_come_while_ours_are_on_the_way_do_not_shorten_it():
    patience = started()
    patience.sent(1000, 10)
    patience.heard(20)
    assert patience.ends_at == 20 + 1000 / SLOWEST_BYTES_PER_SECOND + 30


def test_an_answer_shows_that_all_has_arrived():
    patience = started()
    patience.sent(1000, 10)
    patience.heard(12)
    patience.answered(12)
    assert patience.ends_at == 42
    patience.sent(1000, 50)
    assert patience.ends_at < 50 + 10 + 30


def test_the_best_rate_that_was_seen_counts_with_caution():
    patience = started()
    for seconds in (1, 100):
        patience.sent(10_000, 0)
        patience.answered(seconds)
    patience.sent(10_000, 200)
    assert 200 + 1 + 30 < patience.ends_at < 200 + 10 + 30


def test_a_line_slower_than_the_slowest_does_not_make_it_endless():
    patience = started()
    patience.sent(100, 0)
    patience.answered(10_000)
    patience.sent(100 * MAX_UNSEEN_BYTES, 10_000)
    assert patience.ends_at == 10_000 + MAX_UNSEEN_BYTES / SLOWEST_BYTES_PER_SECOND + 30


def test_an_answer_at_the_same_moment_tells_nothing_of_the_rate():
    patience = started()
    patience.sent(1000, 10)
    patience.answered(10)
    patience.sent(1000, 10)
    assert patience.ends_at == 10 + 1000 / SLOWEST_BYTES_PER_SECOND + 30
