"""Simulations: order, ageing, cuts, both directions at once, turns, windows, dials, fail-over."""

import pytest

from relaynode.config.timestring import TimeString
from relaynode.policy.order import Order
from relaynode.simulate.plan import Hop, LinkPlan
from relaynode.timetable import Timetable
from unit.simulate.plays import START, order_sent, play

MINUTE, HOUR = 60, 3600
TURNS = Timetable.parse_any("every 2 hours")


def delays(outcome):
    return [
        None if one.delivered_at is None else one.delivered_at - one.event.at
        for one in outcome.outgoing
    ]


def test_mail_waits_for_its_link_up_and_takes_the_time_that_its_bytes_need():
    outcome = play(START + "mail 30000\n+1h up isp 33600 200ms")
    assert delays(outcome)[0] == pytest.approx(HOUR + 30_400 / 4200 + 0.8, rel=0.01)
    (run,) = outcome.runs
    assert (run.sent, run.ended) == (1, "done")


def test_a_server_that_is_known_costs_a_round_trip_less():
    outcome = play(
        START + "mail 3000\n+1h up isp 1m 1s for 1m\n+1h mail 3000\n+1h up isp 1m 1s for 1m"
    )
    first, later = (run.seconds for run in outcome.runs)
    assert first - later == pytest.approx(1.0, abs=0.1)


def test_small_goes_before_large_and_a_better_grade_before_both():
    text = START + "mail 50000\n+1s mail 2000\n+1s mail 20000 grade A\n+1h up isp"
    assert order_sent(play(text)) == [20000, 2000, 50000]


def test_the_rules_of_the_configuration_give_grades():
    from relaynode.policy.order import OrderRule

    order = Order((OrderRule("A", sender="boss@*"),))
    text = START + "mail 2000\n+1s mail 9000 from boss@home\n+1h up isp"
    assert order_sent(play(text, order=order)) == [9000, 2000]


def test_what_has_waited_long_goes_first():
    text = START + "mail 50000\n+25h mail 2000\n+1m up isp"
    assert order_sent(play(text)) == [50000, 2000]
    assert order_sent(play(text, order=Order(ageing_seconds=None))) == [2000, 50000]


def test_small_mail_waits_a_third_of_what_it_waits_without_an_order():
    """The mixed queue of a slow line: 200 x 2 KiB and 5 x 500 KiB over 9.6 kbit/s."""
    text = START + "mail 500k x5\n+1s mail 2k x200\n+1m up isp 9600 1s"
    ordered, unordered = play(text), play(text, order=Order(ageing_seconds=0))

    def mean_of_small(outcome):
        small = [
            d
            for d, one in zip(delays(outcome), outcome.outgoing, strict=True)
            if one.event.size_bytes == 2048
        ]
        return sum(small) / len(small)

    assert 3 * mean_of_small(ordered) < mean_of_small(unordered)
    assert max(delays(ordered)) < 24 * HOUR


def test_mail_that_comes_while_its_session_is_open_goes_along_in_it():
    outcome = play(START + "mail 40000\n+1h up isp\n+2s mail 1000")
    assert len(outcome.runs) == 1
    assert outcome.runs[0].sent == 2


def test_mail_that_comes_while_the_link_is_up_leaves_at_once():
    outcome = play(START + "up isp for 1h\n+10m mail 2000")
    assert delays(outcome)[0] < 3


def test_a_line_that_goes_down_stops_what_is_under_way_and_it_is_sent_again():
    outcome = play(START + "mail 2000\n+0s mail 60000\n+1h up isp for 10s\n+1h up isp")
    cut, again = outcome.runs
    assert (cut.sent, cut.ended, cut.seconds) == (1, "the line went down", 10)
    assert cut.bytes_out == pytest.approx(4200 * (10 - 0.6), rel=0.02)
    assert again.sent == 1
    assert again.bytes_out > 60_000
    assert [one.tries for one in outcome.outgoing] == [1, 2]


def test_what_had_gone_before_the_last_reply_is_in_doubt_and_sent_again():
    outcome = play(START + "mail 4200\n+1h up isp 33.6k 2s for 8s\n+1h up isp")
    assert [one.in_doubt for one in outcome.outgoing] == [1]
    assert [run.sent for run in outcome.runs] == [0, 1]


def test_both_directions_are_used_at_once():
    out = "mail 10k x10"
    inward = "fetch box 10k x10"
    up = "+1h up isp 33.6k 200ms"
    boxes = [("box", False)]
    one = play(f"{START}{out}\n{up}", accounts=boxes).runs[0].seconds
    other = play(f"{START}{inward}\n{up}", accounts=boxes).runs[0].seconds
    both = play(f"{START}{out}\n+0s {inward}\n{up}", accounts=boxes).runs[0].seconds
    assert max(one, other) <= both < 1.1 * max(one, other)


def test_small_mail_is_fetched_before_large():
    text = START + "fetch box 50k\n+0s fetch box 9k\n+0s fetch box 2k\n+1h up isp"
    outcome = play(text, accounts=[("box", False)])
    large, nine, two = (one.fetched_at for one in outcome.incoming)
    assert nine < two < large


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_fetch_that_was_cut_begins_anew_over_pop3_and_goes_on_over_imap(goes_on):
    text = START + "fetch box 60000\n+1h up isp 33.6k 200ms for 10s\n+1h up isp"
    outcome = play(text, accounts=[("box", goes_on)])
    total = sum(run.bytes_in for run in outcome.runs)
    assert [run.received for run in outcome.runs] == [0, 1]
    assert (total < 65_000) is goes_on


def test_a_slower_rate_in_the_middle_makes_the_rest_slower():
    outcome = play(START + "mail 42000\n+1h up isp 33.6k 0.2s\n+5s rate isp 3360")
    assert outcome.runs[0].seconds == pytest.approx(5 + (42_400 - 4200 * 4.2) / 420, rel=0.03)


def test_what_is_lost_is_carried_twice():
    plain = play(START + "mail 42000\n+1h up isp 33.6k 200ms").runs[0]
    lossy = play(START + "loss isp 20%\n+0s mail 42000\n+1h up isp 33.6k 200ms").runs[0]
    assert lossy.bytes_out == pytest.approx(plain.bytes_out / 0.8, rel=0.01)
    assert lossy.seconds > plain.seconds * 1.2


def test_at_its_turn_a_link_is_used_once_and_polls():
    link = LinkPlan("isp", "always", timetable=TURNS)
    outcome = play(START + "fetch box 4k\n+5h end", link, accounts=[("box", False)])
    assert [run.began_at - outcome.incoming[0].since for run in outcome.runs] == [
        2 * HOUR,
        4 * HOUR,
    ]
    assert [run.received for run in outcome.runs] == [1, 0]


def test_a_turn_of_a_link_that_is_down_waits_for_its_link_up():
    link = LinkPlan("isp", timetable=TURNS)
    outcome = play(START + "mail 2000\n+3h up isp for 10m\n+5h end", link)
    assert [run.began_at - outcome.outgoing[0].event.at for run in outcome.runs] == [3 * HOUR]


def test_nothing_goes_while_the_window_is_closed():
    link = LinkPlan("isp", "always", window=TimeString.parse("Any0900-1000"))
    outcome = play(START + "mail 2000\n09:30 mail 2000\n+1h mail 2000\n+1d end", link)
    early, within, late = delays(outcome)
    assert early == pytest.approx(3 * HOUR, abs=5)
    assert within < 5
    assert late == pytest.approx(22.5 * HOUR, abs=5)


def test_a_line_that_is_always_there_is_tried_again_when_it_was_not():
    link = LinkPlan("isp", "always")
    outcome = play(START + "down isp\n+1m mail 2000\n+6m up isp\n+1h end", link)
    assert delays(outcome)[0] == pytest.approx((5 + 10) * MINUTE, abs=5)


def test_a_dialled_line_comes_up_for_its_turn_and_is_hung_up():
    link = LinkPlan("isp", "dial", timetable=TURNS, dial_seconds=30)
    outcome = play(START + "mail 2000\n+5h end", link)
    assert delays(outcome)[0] == pytest.approx(2 * HOUR + 30, abs=5)
    assert outcome.dials == {"isp": 2}


def test_urgent_mail_has_a_line_dialled():
    link = LinkPlan("isp", "dial", dial_grade="A")
    outcome = play(START + "mail 2000\n+1h mail 2000 grade A\n+5h end", link)
    assert delays(outcome)[1] < MINUTE
    assert outcome.runs[0].sent == 2


def test_a_call_that_comes_to_nothing_is_repeated_after_longer_and_longer_waits():
    link = LinkPlan("isp", "dial", timetable=TURNS, redial_attempts=2, dial_seconds=30)
    outcome = play(START + "down isp\n+0s mail 2000\n+3h end", link)
    assert (outcome.dials, outcome.failed_dials) == ({"isp": 3}, {"isp": 3})


def test_a_line_is_dialled_no_more_often_than_a_day_allows():
    link = LinkPlan("isp", "dial", timetable=TURNS, dials_per_day=2)
    outcome = play(START + "mail 2000\n23:00 end", link)
    assert outcome.dials == {"isp": 2}
    assert outcome.refused["isp"]


def test_mail_goes_over_the_link_that_is_up_and_once_if_both_are():
    links = LinkPlan("isp"), LinkPlan("sat")

    def hop(mail, up):
        return Hop("host", next((name for name in ("isp", "sat") if name in up), "isp"))

    outcome = play(
        START + "mail 50000 x4\n+1h up sat 9600 1s\n+30s up isp 33.6k\n+1h end", *links, hop=hop
    )
    assert sum(run.sent for run in outcome.runs) == 4
    assert {one.link for one in outcome.outgoing} == {"isp", "sat"}


def test_mail_for_this_machine_waits_for_nothing():
    outcome = play(START + "mail 2000", hop=lambda mail, up: Hop("local", None))
    assert (outcome.at_home, outcome.outgoing) == (1, [])


def test_a_neighbour_is_called_and_gets_its_mail_in_the_call():
    outcome = play(
        START + "mail 8000 x3\n+1h up isp", hop=lambda mail, up: Hop("uu", "isp", is_call=True)
    )
    assert outcome.runs[0].sent == 3
