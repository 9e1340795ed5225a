"""What people write, and what it means."""

import pytest

from relaynode.timetable.entries import At, Every
from relaynode.timetable.forms import parse_form
from relaynode.timetable.timetable import Timetable

ALL = frozenset(range(7))


def at(*times, days=ALL):
    return At(tuple(int(one[:2]) * 60 + int(one[3:]) for one in times), frozenset(days))


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("every 30 min", Every(1800)),
        ("Every 30 Minutes", Every(1800)),
        ("every 90m", Every(5400)),
        ("every minute", Every(60)),
        ("every 2 hours", Every(7200)),
        ("every  1 h", Every(3600)),
        ("every 2 days", Every(172_800)),
        ("at 06:10 and 22:00", at("06:10", "22:00")),
        ("at 22:00, 6:10, 06:10", at("06:10", "22:00")),
        ("every day at 06:10", at("06:10")),
        ("daily at 06:10", at("06:10")),
        ("mon,thu at 07:00", at("07:00", days=(0, 3))),
        ("every Monday and Thursdays at 07:00", at("07:00", days=(0, 3))),
        ("on mo tu at 07:00", at("07:00", days=(0, 1))),
        ("mon-fri at 07:00", at("07:00", days=range(5))),
        ("fri-mon at 07:00", at("07:00", days=(4, 5, 6, 0))),
        ("weekdays at 07:00", at("07:00", days=range(5))),
        ("every weekend at 00:00", at("00:00", days=(5, 6))),
        ("hourly", At(tuple(range(0, 1440, 60)))),
        ("hourly at :15", At(tuple(range(15, 1440, 60)))),
        ("every hour at :15", At(tuple(range(15, 1440, 60)))),
        (
            "every 6 hours at :00 and :30",
            at("00:00", "00:30", "06:00", "06:30", "12:00", "12:30", "18:00", "18:30"),
        ),
    ],
)
def test_human_forms_are_understood(text, means):
    assert parse_form(text) == means


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no timetable"),
        ("sometimes", "is no timetable"),
        ("every day", "is no timetable"),
        ("every 0 min", "a minute to 7 days"),
        ("every 8 days", "a minute to 7 days"),
        ("every 99999 h", "a minute to 7 days"),
        ("every 2 days at 06:10", '"2" is no day of the week'),
        ("at 24:00", '"24:00" is no time of the day'),
        ("at 06:60", "no time of the day"),
        ("at 6", "no time of the day"),
        ("at 06:10 and", "no time of the day"),
        ("m at 06:10", "no day of the week"),
        ("mon- at 06:10", "no day of the week"),
        ("hourly at 15", '"15" is no minute of an hour'),
        ("hourly at :60", "no minute of an hour"),
        ("every 5 hours at :15", "no whole number of times 5 hours"),
        ("every 0 hours at :15", "no whole number of times"),
    ],
)
def test_what_is_none_is_told_with_the_forms(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        parse_form(text)
    assert '"at 06:10 and 22:00"' in str(caught.value)


@pytest.mark.parametrize("value", [7, [], [7], {"every": 30}])
def test_a_timetable_is_a_text_or_a_list_of_such(value):
    with pytest.raises(ValueError, match="wants a text in quotes, or a list"):
        Timetable.parse_any(value)


def test_a_list_is_all_of_it():
    made = Timetable.parse_any(["every 2 hours", "at 06:10", "sun at 09:00"])
    assert (made.every_seconds, len(made.times)) == (7200, 2)
    assert str(made) == "every 2 hours; at 06:10; sun at 09:00"


def test_two_intervals_are_one_too_many():
    with pytest.raises(ValueError, match="two intervals"):
        Timetable.parse_any(["every 2 hours", "every 30 min"])
