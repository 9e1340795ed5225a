"""`relaynode timetable`: what happens next."""

import asyncio
import json
import time
from datetime import datetime

import pytest

from nodes import TestNode
from relaynode.cli import main
from relaynode.links import hours
from relaynode.timetable import Mark, Moment

LINKS = """
[link.isp]
timetable = ["every 2 hours", "at 06:10"]
[link.sat]
kind = "always"
window = "Any2200-0600"
timetable = "hourly at :15"
[link.hf]
kind = "always"
window = "Never"
[neighbour.uunet]
link = "hf"
call = ["tcp:127.0.0.1:540"]
[neighbour.night]
link = "hf"
call = ["tcp:127.0.0.1:540"]
times = ["Any2300-0500"]
"""
NOON = datetime(2026, 6, 2, 12, 0)


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    monkeypatch.setattr(hours, "now", lambda: Moment(NOON.timestamp(), 1000.0))
    yield TestNode(tmp_path, LINKS)
    monkeypatch.undo()
    time.tzset()


def shown(node, capsys, *words):
    assert main.main(["--config", str(node.path), "timetable", *words]) == 0
    return capsys.readouterr().out


def test_it_shows_the_next_turns_of_each_link(node, capsys):
    text = shown(node, capsys, "--count", "2")
    assert text.startswith(
        "isp  event, down: a turn waits for its linkup\n"
        "  every 2 hours; at 06:10\n"
        "    2026-06-02 14:00 Tue  (interval)\n"
        "    2026-06-02 16:00 Tue  (interval)\n"
        "\n"
        "sat  always, up\n"
        "  window Any0000-0600,Any2200-0000: open from 2026-06-02 22:00 Tue on\n"
        "  hourly at :15\n"
        "    2026-06-02 22:15 Tue\n"
        "    2026-06-02 23:15 Tue\n"
    )
    assert text.endswith("no daemon is running: turns are given by `relaynode serve`\n")


def test_what_was_missed_comes_now(node, capsys):
    async def fill():
        opened = node.open()
        mark = Mark(datetime(2026, 6, 1, 6, 10), NOON.timestamp() - 1800)
        await opened.store.turn_marks.remember("isp", mark)
        await opened.store.set_link("isp", True, NOON.timestamp())
        await opened.close()

    asyncio.run(fill())
    lines = shown(node, capsys, "isp", "--count", "2").splitlines()
    assert lines[0] == "isp  event, up"
    assert lines[2:4] == ["    now  (for 2026-06-02 06:10)", "    2026-06-02 14:00 Tue  (interval)"]


def test_json_has_it_all(node, capsys):
    told = json.loads(shown(node, capsys, "--json", "--count", "1"))
    assert told["daemon"] is False
    isp, sat, hf = told["links"]
    at_two = NOON.timestamp() + 7200
    local = "2026-06-02 14:00"
    assert isp["turns"] == [{"at": at_two, "local": local, "turn": None, "is_due": False}]
    assert (sat["is_open"], sat["opens_at"]) == (False, NOON.timestamp() + 36_000)
    assert sat["turns"][0]["turn"] == "2026-06-02 22:15"
    assert (hf["is_open"], hf["opens_at"], hf["turns"]) == (False, None, [])
    assert [one["may_be_called"] for one in hf["neighbours"]] == [True, False]


def test_a_link_without_times_says_so(tmp_path, capsys):
    assert (
        shown(TestNode(tmp_path), capsys) == "default  always, up\n  it has no times of its own\n"
    )
