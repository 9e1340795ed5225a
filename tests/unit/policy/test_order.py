"""In which order mail goes: grades, sizes, ageing; and what that does to a slow line."""

import statistics

import pytest

from relaynode.policy.order import Order, OrderRule, Urgency

HOUR = 3600.0


@pytest.mark.parametrize(
    ("header", "grade"),
    [
        (b"", "C"),
        (b"Subject: x\r\nPriority: urgent\r\n", "A"),
        (b"priority: Non-Urgent\r\n", "N"),
        (b"X-Priority: 1 (Highest)\r\n", "A"),
        (b"X-Priority: 5\r\n", "N"),
        (b"X-Priority: 10\r\n", "C"),
        (b"Importance: high\r\n", "A"),
        (b"Precedence: bulk\r\n", "Z"),
        (b"Precedence: junk\r\n", "z"),
        (b"Precedence: special-delivery\r\n", "A"),
        (b"Precedence: whatever\r\n", "C"),
        (b"Subject: a\r\n Priority: urgent\r\n", "C"),
        (b"X-Not-Priority: urgent\r\n", "C"),
        (b"Precedence: bulk\r\nPriority: urgent\r\n", "A"),
        (b"Priority: urgent\r\nPriority: non-urgent\r\n", "A"),
    ],
)
def test_the_header_says_how_urgent_it_is(header, grade):
    assert Order().urgency(header, "a@b", ["c@d"], 100).grade == grade
    assert Order(uses_header=False).urgency(header, "a@b", ["c@d"], 100).grade == "C"


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (OrderRule("B"), True),
        (OrderRule("B", sender="*@b.example"), True),
        (OrderRule("B", sender="a@c.example"), False),
        (OrderRule("B", recipient="second@*"), True),
        (OrderRule("B", recipient="third@*"), False),
        (OrderRule("B", larger_than=99), True),
        (OrderRule("B", larger_than=100), False),
        (OrderRule("B", smaller_than=101), True),
        (OrderRule("B", smaller_than=100), False),
        (OrderRule("B", sender="*@b.example", larger_than=100), False),
    ],
)
def test_a_rule_counts_where_all_of_it_fits(rule, fits):
    found = Order([rule]).urgency(b"", "A@B.Example", ["first@d", "Second@d"], 100)
    assert found.grade == ("B" if fits else "C")


def test_the_first_rule_that_fits_counts_before_job_and_header():
    order = Order([OrderRule("1", sender="x@*"), OrderRule("2", within_seconds=60.0)])
    assert order.urgency(b"Priority: urgent\r\n", "a@b", [], 1, came_with="5") == Urgency("2", 60.0)
    assert Order().urgency(b"Priority: urgent\r\n", "a@b", [], 1, came_with="5").grade == "5"


def sorted_by(order, messages, now=0.0):
    return [
        name for name, _ in sorted(messages.items(), key=lambda item: order.place(*item[1], now))
    ]


def test_grade_comes_before_size_and_size_before_age():
    messages = {
        "large": (Urgency(), 9000, 0.0),
        "later": (Urgency(), 10, 5.0),
        "small": (Urgency(), 10, 1.0),
        "urgent": (Urgency("A"), 50_000, 9.0),
        "bulk": (Urgency("Z"), 1, 0.0),
    }
    found = sorted_by(Order(), messages, now=10.0)
    assert found == ["urgent", "small", "later", "large", "bulk"]


def test_what_has_waited_long_goes_first_the_oldest_before_the_others():
    messages = {
        "urgent": (Urgency("A"), 1, 24 * HOUR),
        "old": (Urgency("z"), 10**6, 2.0),
        "older": (Urgency("z"), 10**7, 1.0),
        "soon": (Urgency("C", within_seconds=2 * HOUR), 10**6, 23 * HOUR),
    }
    now = 24 * HOUR + 10
    assert sorted_by(Order(), messages, now) == ["older", "old", "soon", "urgent"]
    assert sorted_by(Order(ageing_seconds=None), messages, now)[:2] == ["soon", "urgent"]


# --- on a line of 9.6 kbit/s


BYTES_PER_SECOND = 1200.0


def waits(arrivals, place):
    """How long each message waits for its end, on a line that is never idle while one waits.
    `arrivals`: (name, size, when)."""
    left, now, found = sorted(arrivals, key=lambda one: one[2]), 0.0, {}
    while left:
        here = [one for one in left if one[2] <= now]
        if not here:
            now = left[0][2]
            continue
        name, size, when = best = min(here, key=lambda one: place(one, now))
        left.remove(best)
        now += size / BYTES_PER_SECOND
        found[name] = now - when
    return found


def by(order):
    return lambda one, now: order.place(Urgency(), one[1], one[2], now)


def mixed(spread_seconds=0.0):
    """200 of 2 KiB, and 5 of 500 KiB among the first of them."""
    arrivals = [(f"s{n}", 2048, n * spread_seconds / 200) for n in range(200)]
    return arrivals + [(f"L{n}", 500 * 1024, n * spread_seconds / 200) for n in range(5)]


@pytest.mark.parametrize("spread_seconds", [0.0, 1800.0])
def test_small_mail_waits_a_third_or_less_and_large_mail_not_for_ever(spread_seconds):
    ageing = HOUR
    arrivals = mixed(spread_seconds)
    ours = waits(arrivals, by(Order(ageing_seconds=ageing)))
    in_turn = waits(arrivals, lambda one, now: (one[2], one[0]))
    small = [name for name in ours if name.startswith("s")]
    ours_small = statistics.mean(ours[name] for name in small)
    assert ours_small * 3 <= statistics.mean(in_turn[name] for name in small)
    all_large = 5 * 500 * 1024 / BYTES_PER_SECOND
    assert max(ours.values()) <= ageing + all_large


def test_large_mail_goes_though_small_mail_never_ends():
    ageing = 600.0
    # A little more small mail than the line carries; a large one at the beginning.
    arrivals = [(f"s{n}", 2048, n * 0.95 * 2048 / BYTES_PER_SECOND) for n in range(1500)]
    arrivals.append(("large", 500 * 1024, 10.0))
    ours = waits(arrivals, by(Order(ageing_seconds=ageing)))
    assert ours["large"] <= ageing + (500 * 1024 + 2048) / BYTES_PER_SECOND
    assert waits(arrivals, by(Order(ageing_seconds=None)))["large"] > 2500
