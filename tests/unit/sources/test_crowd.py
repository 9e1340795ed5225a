"""How many connections, messages and recipients a client may have, with the time given."""

import pytest

from relaynode.mail.ip_address import client_key
from relaynode.sources import crowd
from relaynode.sources.crowd import Crowd, CrowdLimits


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def crowd_with(**limits):
    clock = Clock()
    return Crowd(CrowdLimits(**limits), clock), clock


def codes(answers):
    return [0 if status is None else status.code for status in answers]


def test_no_limits_are_none():
    them, _ = crowd_with()
    assert codes(them.enter("192.0.2.1") for _ in range(1000)) == [0] * 1000
    assert codes(them.may_send("192.0.2.1") for _ in range(1000)) == [0] * 1000


def test_a_client_may_have_so_many_connections_and_another_its_own():
    them, _ = crowd_with(connections_per_client=2)
    assert codes(them.enter("192.0.2.1") for _ in range(3)) == [0, 0, 421]
    assert them.enter("192.0.2.2") is None
    them.leave("192.0.2.1")
    assert codes(them.enter("192.0.2.1") for _ in range(2)) == [0, 421]


def test_all_clients_together_may_have_so_many_the_exempt_too():
    them, _ = crowd_with(connections=2, connections_per_client=1)
    assert them.enter("192.0.2.1") is None
    assert codes(them.enter("127.0.0.1", is_exempt=True) for _ in range(2)) == [0, 421]
    them.leave("127.0.0.1", is_exempt=True)
    assert them.enter("127.0.0.1", is_exempt=True) is None


def test_who_is_turned_away_counts_as_nobody():
    them, _ = crowd_with(connections=5, connections_per_client=1)
    assert them.enter("192.0.2.1") is None
    assert codes(them.enter("192.0.2.1") for _ in range(20)) == [421] * 20
    assert codes(them.enter(f"192.0.2.{n}") for n in range(2, 7)) == [0, 0, 0, 0, 421]


def test_rates_are_by_the_minute():
    them, clock = crowd_with(
        connections_per_minute=1, messages_per_minute=2, recipients_per_minute=3
    )
    assert codes(them.enter("192.0.2.1") for _ in range(2)) == [0, 421]
    assert codes(them.may_send("192.0.2.1") for _ in range(3)) == [0, 0, 450]
    assert codes(them.may_name("192.0.2.1") for _ in range(4)) == [0, 0, 0, 450]
    clock.now += 59.9
    assert codes([them.may_send("192.0.2.1")]) == [450]
    clock.now += 0.1
    assert codes([them.may_send("192.0.2.1"), them.may_name("192.0.2.1")]) == [0, 0]
    assert codes([them.enter("192.0.2.1")]) == [0]


def test_replies_are_those_of_servers_that_people_know():
    them, _ = crowd_with(connections_per_client=1, messages_per_minute=1, recipients_per_minute=1)
    answers = [them.enter("192.0.2.1") or them.enter("192.0.2.1")]
    answers += [them.may_send("192.0.2.1") or them.may_send("192.0.2.1")]
    answers += [them.may_name("192.0.2.1") or them.may_name("192.0.2.1")]
    said = [(status.code, status.enhanced) for status in answers]
    assert said == [(421, "4.7.0"), (450, "4.7.1"), (450, "4.7.1")]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_one_ipv6_network_is_one_client(address, key):
    assert client_key(address) == key


def test_what_is_remembered_is_bounded_and_forgotten(monkeypatch):
    monkeypatch.setattr(crowd, "MAX_REMEMBERED", 10)
    them, clock = crowd_with(messages_per_minute=1)
    for number in range(100):
        them.may_send(f"198.51.100.{number}")
    assert len(them._minutes) == 10
    clock.now += 60
    them.may_send("192.0.2.1")
    assert len(them._minutes) == 1


def test_those_who_have_left_are_not_kept():
    them, _ = crowd_with(connections_per_client=1)
    for number in range(100):
        them.enter(f"198.51.100.{number}")
        them.leave(f"198.51.100.{number}")
    assert them._present == {}
