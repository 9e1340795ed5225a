"""The journals: Taylor's lines, one after the other, whatever happens to the files."""

from __future__ import annotations

import os
import time

import pytest

from relaynode.uucico.journal import FileFigures, Journal, is_about

NOW = 1_795_277_520.123


@pytest.fixture
def files(tmp_path):
    return tmp_path / "uucp" / "Log", tmp_path / "uucp" / "Stats"


@pytest.fixture
def journal(files):
    return Journal(*files, clock=lambda: NOW, local_time=time.gmtime)


def test_a_line_of_the_log_has_program_system_user_time_and_process(journal, files):
    journal.note("uucico", "beta", "", "Calling system beta (port TCP)")
    journal.note("uux", "beta", "bob", "Queuing rmail a (D.0001)")
    pid = os.getpid()
    assert files[0].read_text() == (
        f"uucico beta - (2026-11-21 16:12:00.12 {pid}) Calling system beta (port TCP)\n"
        f"uux beta bob (2026-11-21 16:12:00.12 {pid}) Queuing rmail a (D.0001)\n"
    )


def test_a_line_of_the_figures_tells_how_fast_and_over_which_line(journal, files):
    journal.note_file("beta", "bob", FileFigures(True, 2500, 0.107, "TCP"))
    journal.note_file("beta", "bob", FileFigures(False, 5, 0.0, "serial one", is_broken=True))
    assert files[1].read_text() == (
        "bob beta (2026-11-21 16:12:00.12) sent 2500 bytes in 0.107 seconds (23364 bytes/sec)"
        " on port TCP\n"
        "bob beta (2026-11-21 16:12:00.12) failed after received 5 bytes in 0.000 seconds"
        " (5 bytes/sec) on port serial_one\n"
    )


def test_what_a_stranger_says_makes_no_lines_and_no_long_ones(journal, files):
    journal.note("uucico", "be\nta x", "b\x1bob", "a\nuucico gamma - (forged) b" + "x" * 10_000)
    (line,) = files[0].read_text().splitlines()
    assert line.startswith("uucico be\\012ta_x b\\033ob (")
    assert "a\\012uucico" in line
    assert len(line) < 2100


def test_a_file_that_was_moved_away_is_made_anew(journal, files):
    journal.note("uux", "beta", "bob", "one")
    files[0].rename(files[0].with_name("Log.0"))
    journal.note("uux", "beta", "bob", "two")
    assert files[0].read_text().endswith(" two\n")
    assert files[0].with_name("Log.0").read_text().endswith(" one\n")
    files[0].unlink()
    journal.note("uux", "beta", "bob", "three")
    assert files[0].read_text().count("\n") == 1


def test_two_journals_write_whole_lines_into_one_file(files):
    first, second = Journal(*files), Journal(*files)
    for number in range(50):
        first.note("uux", "beta", "bob", f"a{number}")
        second.note("uux", "beta", "bob", f"b{number}")
    assert len(files[0].read_text().splitlines()) == 100


def test_what_cannot_be_written_is_told_once_and_missed(tmp_path, caplog):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    journal = Journal(in_the_way / "Log", None)
    journal.note("uux", "beta", "bob", "one")
    journal.note("uux", "beta", "bob", "two")
    journal.note_file("beta", "bob", FileFigures(True, 1, 1.0, "TCP"))
    assert len(caplog.records) == 1


def test_strangers_cannot_read_it(journal, files):
    journal.note("uux", "beta", "bob", "one")
    assert not files[0].stat().st_mode & 0o007


@pytest.mark.parametrize(
    ("line", "is_stats"),
    [
        ("uucico beta bob (2026-11-21 16:12:00.12 1) Sending x", False),
        ("bob beta (2026-11-21 16:12:00.12) sent 1 bytes", True),
    ],
)
def test_a_line_is_about_a_system_and_a_user(line, is_stats):
    def asks(system, user):
        return is_about(line, system, user, is_stats=is_stats)

    assert asks("", "")
    assert asks("beta", "")
    assert asks("beta", "bob")
    assert not asks("bet", "")
    assert not asks("beta", "bo")
    assert not asks("bob", "")
    assert not is_about("no line of a log", "beta", "", is_stats=is_stats)
