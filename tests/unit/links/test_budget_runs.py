"""Runs over an emulated line end within their budgets: bytes within a segment, time within 2 s."""

import os
import random
from math import inf

import pytest

from relaynode.wire.emulator import SEGMENT_BYTES
from unit.links.budget_line import Trial
from unit.links.virtual_time import run

SOAK = bool(os.environ.get("RELAYNODE_SOAK"))
RANDOM_RUNS = 100 if SOAK else 10
LATE_SECONDS = 2.0


def random_keys(chance):
    """Limits for one run: minutes, megabytes, money, some of them."""
    keys, limit = [], {}
    if chance.random() < 0.6:
        limit["seconds"] = chance.uniform(10, 120)
        period = chance.choice(["session", "day", "month"])
        keys.append(f"budget_minutes_per_{period} = {limit['seconds'] / 60}")
    if chance.random() < 0.6 or not keys:
        limit["bytes"] = chance.randrange(5000, 200_000)
        period = chance.choice(["session", "day", "month"])
        keys.append(f"budget_megabytes_per_{period} = {limit['bytes'] / 1e6}")
    if chance.random() < 0.3:
        limit["money"] = chance.uniform(0.3, 2)
        keys.append(f"budget_money_per_day = {limit['money']}")
        keys += ["cost_per_minute = 0.6", "cost_per_megabyte = 5", "cost_per_call = 0.1"]
        keys.append(f"billing_seconds = {chance.choice([1, 6, 60])}")
    return "\n".join(keys), limit


def sizes(chance):
    small = [chance.randrange(300, 4000) for _ in range(chance.randrange(12))]
    return small + [chance.randrange(10_000, 120_000) for _ in range(chance.randrange(4))]


@pytest.mark.parametrize("number", range(RANDOM_RUNS))
def test_a_random_run_ends_within_its_budget(tmp_path, monkeypatch, number):
    chance = random.Random(20261122 + number)
    keys, limit = random_keys(chance)
    rate, round_trip = chance.choice([(9600, 1.0), (33600, 0.2), (128_000, 0.6)])
    lie = chance.choice([1, 1, 1, 3])

    async def play():
        trial = await Trial.make(
            tmp_path, monkeypatch, keys, rate=rate, round_trip=round_trip, lie=lie
        )
        out, inward = sizes(chance), sizes(chance)
        await trial.queue(out)
        trial.offer(inward)
        summary = await trial.linkup()
        (record,) = await trial.runs()
        waiting = await trial.waiting()
        arrived = len(await trial.far.store.messages(finished=True))
        carried = trial.carried
        await trial.close()
        return record, summary, waiting, arrived, carried, out

    record, summary, waiting, arrived, carried, out = run(play())
    used = record.bytes_out + record.bytes_in
    print(keys, limit, rate, lie, record, carried, len(waiting), summary.polls)
    assert record.seconds <= limit.get("seconds", inf) + LATE_SECONDS
    assert used <= limit.get("bytes", inf) + SEGMENT_BYTES
    if lie == 1:  # what a server sends that it has not listed is on the line before we know of it
        assert carried <= limit.get("bytes", inf) + SEGMENT_BYTES
    assert all(one.attempts == 0 or one.in_doubt for one in waiting)
    assert arrived + len(waiting) >= len(out)
