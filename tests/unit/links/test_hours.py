"""When a link may be used, by this machine's clock."""

import time
from datetime import datetime

import pytest

from relaynode.config.schema import LinkSection
from relaynode.config.timestring import TimeString
from relaynode.links import hours


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_window_is_of_local_time(berlin):
    link = LinkSection(window=TimeString.parse("Wk2305-0855,Sa,Su"))
    for text, is_open in (
        ("2026-06-01 08:54", True),
        ("2026-06-01 08:55", False),
        ("2026-06-01 23:05", True),
        ("2026-06-06 12:00", True),
        ("2026-12-01 23:04", False),
    ):
        assert hours.is_open(link, datetime.fromisoformat(text).timestamp()) is is_open


def test_a_link_without_window_or_timetable_has_none(berlin):
    assert hours.is_open(LinkSection(), 0.0)
    assert hours.turns_of(LinkSection(), hours.now(), None) is None


def test_the_steady_clock_is_not_the_one_on_the_wall():
    first, second = hours.now(), hours.now()
    assert first.wall != first.steady
    assert second.steady >= first.steady
