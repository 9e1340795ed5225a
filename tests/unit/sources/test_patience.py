"""How long a client is waited for: drops that never become a line do not keep it."""

from relaynode.sources.patience import Patience


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def test_each_command_has_its_time_and_a_part_of_one_does_not_renew_it():
    clock = Clock()
    patience = Patience(300, 100, clock)
    assert patience.seconds(0, None) == 300
    clock.now += 200
    assert patience.seconds(0, None) == 100
    clock.now += 100
    assert patience.seconds(0, None) == 0
    assert patience.seconds(1, None) == 300


def test_content_may_take_as_long_as_its_size_allows():
    clock = Clock()
    patience = Patience(300, 100, clock)
    assert patience.seconds(3, 0) == 300
    clock.now += 299
    assert patience.seconds(3, 0) == 1
    assert patience.seconds(3, 10_000) == 101
    clock.now += 101
    assert patience.seconds(3, 10_000) == 0
    assert patience.seconds(3, 100_000) == 300, "but no silence is longer than a command's"


def test_the_commands_between_chunks_do_not_renew_the_time_of_content():
    clock = Clock()
    patience = Patience(300, 100, clock)
    patience.seconds(3, 0)
    for commands in range(4, 9):
        clock.now += 59
        assert patience.seconds(commands, 1) < 300
    clock.now += 10
    assert patience.seconds(9, 1) == 0


def test_without_a_slowest_pace_only_silence_counts():
    clock = Clock()
    patience = Patience(300, 0, clock)
    patience.seconds(3, 0)
    clock.now += 10_000
    assert patience.seconds(3, 1) == 300
