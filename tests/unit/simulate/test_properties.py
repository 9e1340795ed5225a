"""Whatever a trace does to its lines: nothing is lost, nothing arrives twice, time goes forward."""

import itertools
import random

import pytest

from relaynode.policy.budget import Budget, Limit
from relaynode.simulate import simulator
from relaynode.simulate.clock import Clock
from relaynode.simulate.plan import Hop, LinkPlan
from relaynode.timetable import Timetable
from unit.simulate.plays import play

TRACES = 30


def trace(chance):
    """Two days in which anything may happen at any time."""
    lines = ["2026-11-01 06:00 up isp 33.6k 200ms"]
    for _ in range(60):
        link = chance.choice(("isp", "sat", "call"))
        what = chance.choice(
            (
                f"up {link} {chance.choice((2400, 9600, 33600))} {chance.choice((50, 600))}ms",
                f"down {link}",
                f"rate {link} {chance.choice((1200, 33600))}",
                f"loss {link} {chance.choice((0, 5, 30))}%",
                f"mail {chance.choice(('1k', '2k..40k', '200k'))} x{chance.randint(1, 6)}",
                f"fetch box {chance.choice(('1k', '30k'))} x{chance.randint(1, 4)}",
            )
        )
        lines.append(f"+{chance.choice((0, 3, 10, 30, 600, 7200))}s {what}")
    return "\n".join([*lines, "+6h end"])


def links(chance):
    budget = Budget(
        session=Limit(seconds=chance.choice((60, 600))), day=Limit(size_bytes=2_000_000)
    )
    turns = Timetable.parse_any("every 2 hours")
    return (
        LinkPlan("isp", "event", budget=chance.choice((Budget(), budget))),
        LinkPlan("sat", "always", timetable=turns, budget=chance.choice((Budget(), budget))),
        LinkPlan("call", "dial", timetable=turns, dial_grade="C", redial_attempts=1),
    )


@pytest.mark.parametrize("seed", range(TRACES))
def test_nothing_is_lost_and_nothing_arrives_twice(seed, monkeypatch):
    chance = random.Random(seed)
    arrivals, moments = [], []
    delivered = simulator.Simulator.delivered

    def note(self, mail, link):
        arrivals.append(mail.number)
        moments.append(self.clock.now)
        delivered(self, mail, link)

    monkeypatch.setattr(simulator.Simulator, "delivered", note)

    def hop(mail, up):
        ready = [name for name in ("isp", "sat", "call") if name in up]
        return Hop("host", ready[0] if ready else "sat")

    outcome = play(trace(chance), *links(chance), accounts=[("box", seed % 2)], hop=hop)
    assert len(arrivals) == len(set(arrivals))
    assert moments == sorted(moments)
    sent = [one for one in outcome.outgoing if one.delivered_at is not None]
    assert {one.number for one in sent} == set(arrivals)
    assert sum(one.sent for one in outcome.runs) == len(arrivals)
    fetched = [one for one in outcome.incoming if one.fetched_at is not None]
    assert sum(one.received for one in outcome.runs) == len(fetched)
    assert not any(one.is_under_way for one in outcome.outgoing)
    assert all(one.delivered_at > one.event.at for one in sent)
    assert all(one.fetched_at > one.since for one in fetched)


@pytest.mark.parametrize("seed", range(5))
def test_runs_of_one_link_follow_each_other(seed):
    chance = random.Random(seed)
    outcome = play(trace(chance), *links(chance), accounts=[("box", False)])
    for name in ("isp", "sat", "call"):
        runs = [one for one in outcome.runs if one.link == name]
        for before, after in itertools.pairwise(runs):
            assert before.began_at + before.seconds <= after.began_at + 1e-6


def test_the_clock_does_what_was_said_for_the_past_now():
    clock, done = Clock(100.0), []
    clock.at(150.0, lambda: clock.at(20.0, lambda: done.append(clock.now)))
    clock.run(200.0)
    assert done == [150.0]
    assert clock.now == 200.0
