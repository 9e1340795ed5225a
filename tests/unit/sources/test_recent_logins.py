"""POP-before-SMTP: an address counts for some minutes after a login, and no longer."""

from relaynode.sources import recent_logins
from relaynode.sources.recent_logins import RecentLogins


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_an_address_counts_for_its_time_and_each_login_renews_it():
    clock = Clock()
    recent = RecentLogins(600, clock)
    assert "192.0.2.1" not in recent
    recent.note("192.0.2.1")
    clock.now = 599
    assert "192.0.2.1" in recent
    assert "192.0.2.2" not in recent
    recent.note("::ffff:192.0.2.1")
    clock.now = 1198
    assert "192.0.2.1" in recent
    clock.now = 1199
    assert "192.0.2.1" not in recent


def test_with_no_time_nobody_counts():
    recent = RecentLogins(0, Clock())
    recent.note("192.0.2.1")
    assert "192.0.2.1" not in recent


def test_how_one_address_is_written_is_no_matter():
    recent = RecentLogins(600, Clock())
    recent.note("2001:DB8:0::1")
    assert "2001:db8::1" in recent


def test_the_table_is_bounded(monkeypatch):
    monkeypatch.setattr(recent_logins, "MAX_ADDRESSES", 3)
    recent = RecentLogins(600, Clock())
    for number in range(9):
        recent.note(f"192.0.2.{number}")
    assert [number for number in range(9) if f"192.0.2.{number}" in recent] == [6, 7, 8]
