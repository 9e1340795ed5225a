"""Taylor's own uuchk reads the same files as we do, and says the same of them."""

import os
import random
import re
import shutil
import subprocess

import pytest

from peers.folders import leave_home, make_home
from peers.found import require
from peers.taylor import USER
from relaynode.config.taylor import read_taylor
from relaynode.config.timestring import DAY, WEEK, Span, TimeString

SEED = 1
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WITHIN = re.compile(r"^ (\w{3}) from (\d\d):(\d\d) to (\d\d):(\d\d) may call", re.MULTILINE)
_ACROSS = re.compile(
    r"^ From (\w{3}) (\d\d):(\d\d) to (\w{3}) (\d\d):(\d\d) may call", re.MULTILINE
)
_SITE = """\
nodename bsd
v2-files n
hdb-files n
timetable Cheap Wk2200-0600,Su
"""


@pytest.fixture
def home(tmp_path):
    folder = make_home("uuchk")
    yield folder
    leave_home(folder, tmp_path / "uuchk", ())


@pytest.fixture
def uuchk(home):
    """What uuchk says of a sys file, by system; the files stay in `home`."""
    program = home / "uuchk"
    shutil.copyfile(require("uucp").path("/usr/lib/uucp/uuchk"), program)
    program.chmod(0o755)

    def run(systems):
        names = "".join(f"{name}file {home}/{name}\n" for name in ("port", "dial", "call"))
        (home / "config").write_text(f"{_SITE}sysfile {home}/sys\n{names}")
        (home / "port").write_text("port TCP\ntype tcp\n")
        for empty in ("dial", "call"):
            (home / empty).touch(mode=0o600)
            if os.geteuid() == 0:
                shutil.chown(home / empty, USER)
        (home / "sys").write_text(systems)
        done = subprocess.run(
            [program, "-I", home / "config"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            user=USER if os.geteuid() == 0 else None,
        )
        assert not done.stderr
        parts = re.split(r"^System: (\S+).*\n", done.stdout, flags=re.MULTILINE)[1:]
        return dict(zip(parts[::2], parts[1::2], strict=True))

    return run


def minute(day, hour, minutes):
    return _DAYS.index(day) * DAY + int(hour) * 60 + int(minutes)


def said(text):
    """The hours that uuchk shows, as a time string has them."""
    if "At any time may call" in text:
        return TimeString.parse("Any")
    spans = []
    for day, *times in _WITHIN.findall(text):
        spans.append((minute(day, *times[:2]), minute(day, *times[2:])))
    for from_day, from_hour, from_minute, *to in _ACROSS.findall(text):
        spans.append((minute(from_day, from_hour, from_minute), minute(*to)))
    # From Saturday night to Sunday is not the end of our week, but Sunday night to Monday is.
    wrapped = [(start, end + WEEK if end < start else end) for start, end in spans]
    return frozenset(at % WEEK for start, end in wrapped for at in range(start, end))


def open_minutes(times):
    return frozenset(at for span in times.spans for at in range(*Span(*span)))


def some_time(chooser):
    days = "".join(chooser.choices(["Su", "Mo", "Tu", "We", "Th", "Fr", "Sa", "Wk", "Any"], k=2))
    hours = [f"{chooser.randrange(24):02}{chooser.randrange(60):02}" for _ in range(2)]
    return days + ("" if chooser.random() < 0.2 else "-".join(hours))


def test_random_time_strings_mean_the_same_hours(uuchk, home):
    chooser = random.Random(SEED)
    texts = ["Cheap", "Night", "Evening", "NonPeak", "any", "Wk2305-0000", "Any2305-2305"]
    texts += [",".join(some_time(chooser) for _ in range(chooser.randint(1, 3))) for _ in range(60)]
    theirs = uuchk("".join(f"system s{n}\nport TCP\ntime {t}\n" for n, t in enumerate(texts)))
    ours = {system.name: system for system in read_taylor(home).systems}
    assert len(theirs) == len(ours) == len(texts)
    for number, text in enumerate(texts):
        (time,) = ours[f"s{number}"].sets[0].settings["time"]
        found = said(theirs[f"s{number}"])
        expected = open_minutes(found) if isinstance(found, TimeString) else found
        assert open_minutes(time.times) == expected, text


def test_alternates_and_defaults_come_to_the_same(uuchk, home):
    theirs = uuchk(
        "commands rmail d0\nphone 5\nalternate\ncommands rmail d1\nalternate\nphone 6\n"
        "system two\nport TCP\ntime Any\nphone 1\nalternate\nspeed 300\n"
        "system one\nport TCP\ntime Any\ncommands own\nalternate x\nphone 7\n# c\n"
        "alternate\nphone 8 # \\#\ncommands third\n"
    )
    for system in read_taylor(home).systems:
        text = theirs[system.name]
        phones = re.findall(r"^ Remote address (.*)$", text, re.MULTILINE)
        commands = re.findall(r"^ May execute (.*)$", text, re.MULTILINE)
        assert [one.settings["phone"] for one in system.sets] == phones
        assert [" ".join(one.settings["commands"]) for one in system.sets] == commands
