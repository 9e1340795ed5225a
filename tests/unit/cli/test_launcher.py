"""What the fast `sendmail` does itself, and what it leaves to the whole program."""

import pytest

from relaynode.cli import launcher
from relaynode.sources.sendmail_options import parse_options


@pytest.mark.parametrize(
    "line",
    [
        "bob",
        "-t",
        "-ti",
        "-i -t -oi",
        "-oem -odi bob",
        "-f alice -F Alice bob",
        "-bm bob",
        "-v bob",
        "-h 3 -Ltag -X/tmp/log bob",
        "-N never -R hdrs -V x -B 8BITMIME bob",
        "-- -bp",
    ],
)
def test_a_plain_submission_goes_straight_to_the_daemon(line):
    words = line.split()
    assert launcher._is_plain([word.encode() for word in words])
    assert parse_options(words).mode == "m"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-bp",
        "-bs",
        "-ba",
        "-q",
        "-qRx",
        "-vq",
        "-tbs",
        "-mbp",
        "-I",
        "-iI",
        "-C/x bob",
        "-d0.1 bob",
        "-Qwhy",
        "-f alice -bp",
        "-nqIx",
    ],
)
def test_all_else_is_left_to_the_whole_program(line):
    assert not launcher._is_plain([word.encode() for word in line.split()])
