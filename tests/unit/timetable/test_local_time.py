"""The way from local time to epoch seconds, over changes of the clocks."""

from datetime import datetime

import pytest

from relaynode.timetable.local_time import local_time, moment_of
from unit.timetable.machine import BERLIN, LORD_HOWE, NEW_YORK, UTC, utc


def local(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("zone", "text", "in_utc"),
    [
        (UTC, "2026-03-29 02:30", "2026-03-29 02:30"),
        (BERLIN, "2026-03-29 01:59", "2026-03-29 00:59"),
        (BERLIN, "2026-03-29 02:00", "2026-03-29 01:00"),  # it does not exist: 03:00 does
        (BERLIN, "2026-03-29 02:59", "2026-03-29 01:00"),
        (BERLIN, "2026-03-29 03:00", "2026-03-29 01:00"),
        (BERLIN, "2026-10-25 01:59", "2026-10-24 23:59"),
        (BERLIN, "2026-10-25 02:00", "2026-10-25 00:00"),  # it is there twice: the first
        (BERLIN, "2026-10-25 02:59", "2026-10-25 00:59"),
        (BERLIN, "2026-10-25 03:00", "2026-10-25 02:00"),
        (NEW_YORK, "2026-03-08 02:30", "2026-03-08 07:00"),
        (NEW_YORK, "2026-11-01 01:30", "2026-11-01 05:30"),
        (LORD_HOWE, "2026-10-04 02:15", "2026-10-03 15:30"),
        (LORD_HOWE, "2026-04-05 01:45", "2026-04-04 14:45"),
    ],
)
def test_the_first_moment_at_which_a_clock_says_so_or_more(zone, text, in_utc):
    assert moment_of(local(text), zone) == utc(in_utc)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
def test_it_leads_there_and_back_all_the_year(zone):
    moment = utc("2026-01-01 00:00")
    while moment < utc("2027-01-01 00:00"):
        back = moment_of(local_time(moment, zone), zone)
        is_second = local_time(moment, zone) == local_time(back, zone)
        assert back == moment or (is_second and moment - back <= 3600)
        moment += 12_600
