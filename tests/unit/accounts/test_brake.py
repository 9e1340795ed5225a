"""Who fails waits, and is not heard for a while at last. Time is an argument."""

from relaynode.accounts.brake import (
    MAX_CLIENTS,
    MAX_FAILURES,
    MOST_SECONDS,
    WINDOW_SECONDS,
    Brake,
)

GUESSER = "203.0.113.9"


def failing(brake, address, times, now=0.0):
    return [brake.failed(address, now) for _ in range(times)]


def test_each_failure_costs_more_up_to_a_bound():
    assert failing(Brake(), GUESSER, 6) == [1, 2, 4, 8, MOST_SECONDS, MOST_SECONDS]


def test_who_fails_often_is_shut_out_and_comes_in_again_later():
    brake = Brake()
    failing(brake, GUESSER, MAX_FAILURES - 1)
    assert not brake.is_shut(GUESSER, 1)
    failing(brake, GUESSER, 1)
    assert brake.is_shut(GUESSER, 1)
    assert not brake.is_shut("203.0.113.10", 1)
    assert not brake.is_shut(GUESSER, WINDOW_SECONDS)
    assert brake.failed(GUESSER, WINDOW_SECONDS) == 1


def test_an_ipv6_client_is_its_network():
    brake = Brake()
    failing(brake, "2001:db8::1", MAX_FAILURES)
    assert brake.is_shut("2001:db8::ffff", 1)
    assert not brake.is_shut("2001:db8:0:1::1", 1)
    failing(brake, "::ffff:203.0.113.9", MAX_FAILURES)
    assert brake.is_shut(GUESSER, 1)


def test_this_machine_is_always_heard():
    brake = Brake()
    failing(brake, "127.0.0.1", MAX_FAILURES)
    failing(brake, "", MAX_FAILURES)
    assert not brake.is_shut("127.0.0.1", 1)
    assert not brake.is_shut("", 1)


def test_a_right_password_forgives_a_few_mistakes_and_not_many():
    brake = Brake()
    failing(brake, GUESSER, 3)
    brake.passed(GUESSER)
    assert brake.failed(GUESSER, 1) == 1
    failing(brake, GUESSER, MAX_FAILURES - 2)
    brake.passed(GUESSER)
    failing(brake, GUESSER, 1)
    assert brake.is_shut(GUESSER, 1)


def test_a_crowd_of_guessers_fills_no_memory():
    brake = Brake()
    for number in range(MAX_CLIENTS + 10):
        brake.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0)
    assert len(brake._clients) == MAX_CLIENTS
