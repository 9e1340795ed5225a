"""uulog: which lines, the last of them, and those to come."""

from __future__ import annotations

import itertools

import pytest

from nodes import TestNode
from relaynode.cli import uulog, uuname
from relaynode.cli.uu_options import Refused


def line(system, user, text):
    return f"uucico {system} {user} (2026-11-21 16:12:00.12 1) {text}"


LINES = [line("beta", "bob", "one"), line("gamma", "-", "two"), line("beta", "-", "three")]


@pytest.fixture
def node(tmp_path, monkeypatch):
    made = TestNode(
        tmp_path / "n",
        '[uucp]\nnodename = "alpha"\nlog = "Log"\nstats = "Stats"\n'
        '[neighbour.beta]\naliases = ["betty"]\ncall = ["tcp:x"]\n[neighbour.gamma]\n',
    )
    monkeypatch.setenv("RELAYNODE_CONFIG", str(made.path))
    (made.folder / "Log").write_text("".join(f"{one}\n" for one in LINES))
    return made


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], [0, 1, 2]),
        (["-sbeta"], [0, 2]),
        (["-s", "betty"], [0, 2]),
        (["-s", "other"], []),
        (["-u", "bob"], [0]),
        (["-n", "1"], [2]),
        (["-1", "-sgamma"], [1]),
        (["-n0"], []),
        (["-x"], [0, 1, 2]),
        (["-X", "9"], [0, 1, 2]),
    ],
)
def test_the_log_or_a_part_of_it(node, capsys, words, shown):
    assert uulog.main(words) == 0
    assert capsys.readouterr().out.splitlines() == [LINES[place] for place in shown]


@pytest.mark.parametrize("words", [["-S"], ["-D"], ["-n", "x"], ["word"], ["-Z"]])
def test_what_cannot_be_shown_ends_with_one(node, capsys, words):
    assert uulog.main(words) == 1
    assert capsys.readouterr().err


def test_following_shows_whole_lines_as_they_come_also_of_a_new_file(tmp_path):
    path = tmp_path / "Log"
    path.write_text("one\ntwo\nhalf")
    steps = iter(
        [
            lambda: path.open("a").write(" a line\nthree\n"),
            lambda: (path.open("a").write("last\n"), path.rename(tmp_path / "Log.0")),
            lambda: None,
            lambda: path.write_text("new\n"),
            lambda: None,
        ]
    )

    def pause():
        next(steps)()

    found = uulog.lines_of(path, lambda one: one != "three", 1, pause=pause)
    assert list(itertools.islice(found, 4)) == ["two", "half a line", "last", "new"]
    found.close()


def test_a_log_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Refused, match="No such file"):
        list(uulog.lines_of(tmp_path / "none", bool))


def test_uuname_lists_neighbours_names_and_ours(node, capsys):
    assert [uuname.main(words) for words in ([], ["-a"], ["-l"])] == [0, 0, 0]
    assert capsys.readouterr().out.split() == "beta gamma beta betty gamma alpha".split()
    assert uuname.main(["word"]) == 1


def test_help_and_version_are_for_people(node, capsys):
    for word in ("--help", "--version", "-v"):
        with pytest.raises(SystemExit) as ended:
            uuname.main([word])
        assert ended.value.code == 0
    assert "Usage: uuname [-a] [-l] [-I file]" in capsys.readouterr().out
