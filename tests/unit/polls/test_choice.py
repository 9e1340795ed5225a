"""What is fetched of a mailbox, deleted there, or left: the wishes of an account, one by one."""

import pytest

from relaynode.polls.choice import DAY_SECONDS, Choice, Decision, Left, Waiting, Wishes, choose

NOW = 1_000_000_000.0
KIB = 1024


def chosen(waiting, **wishes):
    return choose(waiting, Wishes(**wishes), NOW)


def keys(messages):
    return [one.key for one in messages]


def sorted_into(choice: Choice):
    return keys(choice.delete), keys(choice.headers), keys(choice.fetch)


NEW = Waiting("new", 100)
OLD = Waiting("old", 100, taken_at=NOW - 3 * DAY_SECONDS)
READ = Waiting("read", 100, is_read=True)


@pytest.mark.parametrize(
    ("wishes", "deleted", "fetched"),
    [
        ({}, ["old"], ["new"]),
        ({"fetch_all": True}, ["old"], ["new", "read"]),
        ({"keep": True}, [], ["new"]),
        ({"keep": True, "fetch_all": True}, [], ["old", "new", "read"]),
        ({"keep": True, "flush": True}, ["old"], ["new"]),
        ({"keep": True, "flush": True, "fetch_all": True}, ["old"], ["new", "read"]),
        ({"keep": True, "delete_after_days": 3}, ["old"], ["new"]),
        ({"keep": True, "delete_after_days": 4}, [], ["new"]),
        ({"keep": True, "delete_after_days": 4, "fetch_all": True}, [], ["old", "new", "read"]),
    ],
)
def test_marks_and_wishes_decide_what_is_deleted_and_what_is_fetched(wishes, deleted, fetched):
    choice = chosen([OLD, NEW, READ], **wishes)
    assert (keys(choice.delete), keys(choice.fetch)) == (deleted, fetched)


def test_oversized_messages_may_go_unread_but_none_that_was_asked_for():
    new, asked = Waiting("new", 5000), Waiting("asked", 5000, decision=Decision.GET)
    read, kept = Waiting("read", 5000, is_read=True), Waiting("kept", 5000, taken_at=NOW)
    choice = chosen([new, asked, read, kept], keep=True, limit_bytes=100, flush_oversized=True)
    assert sorted_into(choice) == (["new"], [], ["asked"])


def test_each_message_ends_in_exactly_one_place():
    waiting = [
        Waiting(number, size, taken_at, is_read, decision)
        for number, (size, taken_at, is_read, decision) in enumerate(
            (size, taken_at, is_read, decision)
            for size in (0, 10, 1000)
            for taken_at in (None, NOW)
            for is_read in (False, True)
            for decision in (None, *Decision)
        )
    ]
    for wishes in (
        {},
        {"keep": True, "limit_bytes": 100},
        {"header_first_bytes": 100, "fetch_limit": 2},
        {"keep": True, "fetch_all": True, "max_message_bytes": 100},
    ):
        choice = chosen(waiting, **wishes)
        places = [*choice.delete, *choice.headers, *choice.fetch, *(one for one, _ in choice.left)]
        assert sorted(one.key for one in places) == list(range(len(waiting)))


def test_small_mail_comes_first_and_mail_of_like_size_in_the_order_of_the_mailbox():
    sizes = [900 * KIB, 3 * KIB, 200 * KIB, 2 * KIB, 15 * KIB, 20 * KIB]
    assert keys(chosen([Waiting(size, size) for size in sizes]).fetch) == [
        3 * KIB,
        2 * KIB,
        15 * KIB,
        20 * KIB,
        200 * KIB,
        900 * KIB,
    ]


def test_a_limit_of_messages_takes_the_oldest_so_that_large_ones_get_their_turn():
    choice = chosen([Waiting("big", 900 * KIB), Waiting("a", 1), Waiting("b", 1)], fetch_limit=2)
    assert keys(choice.fetch) == ["a", "big"]
    assert keys(choice.left_for(Left.LATER)) == ["b"]


def test_what_is_deleted_does_not_count_toward_the_limit():
    choice = chosen([OLD, NEW], fetch_limit=1)
    assert sorted_into(choice) == (["old"], [], ["new"])


@pytest.mark.parametrize(("size", "is_left"), [(99, False), (100, False), (101, True)])
@pytest.mark.parametrize(
    ("wish", "why"), [("limit_bytes", Left.OVERSIZED), ("max_message_bytes", Left.UNFIT)]
)
def test_only_what_is_larger_than_a_limit_is_left(size, is_left, wish, why):
    choice = chosen([Waiting("one", size)], **{wish: 100})
    assert choice.left == ([(Waiting("one", size), why)] if is_left else [])


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (None, ([], ["big"], [])),
        (Decision.OFFERED, ([], [], [])),
        (Decision.GET, ([], [], ["big"])),
        (Decision.DELETE, (["big"], [], [])),
    ],
)
def test_of_big_mail_the_header_comes_first_and_then_it_is_decided(decision, expected):
    big = Waiting("big", 101, decision=decision)
    choice = chosen([big], header_first_bytes=100)
    assert sorted_into(choice) == expected
    assert keys(choice.left_for(Left.OFFERED)) == (["big"] if decision == "offered" else [])


def test_what_was_offered_comes_whole_once_the_size_is_no_longer_too_large():
    choice = chosen([Waiting("big", 101, decision=Decision.OFFERED)], header_first_bytes=1000)
    assert keys(choice.fetch) == ["big"]


def test_what_was_ordered_comes_even_if_it_is_larger_than_the_limit():
    choice = chosen([Waiting("big", 101, decision=Decision.GET)], limit_bytes=100)
    assert keys(choice.fetch) == ["big"]


def test_what_was_queued_here_is_never_offered_again():
    choice = chosen([Waiting("big", 101, taken_at=NOW)], keep=True, header_first_bytes=100)
    assert sorted_into(choice) == ([], [], [])
    assert keys(choice.left_for(Left.TAKEN)) == ["big"]
