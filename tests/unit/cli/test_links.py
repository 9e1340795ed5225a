"""`relaynode links`: states, the last runs, and their sums."""

import asyncio
import json
import time

import pytest

from nodes import TestNode
from relaynode.cli import main
from relaynode.queue.link_runs import LinkRunRecord

LINKS = '[link.isp]\nkind = "event"\n[link.lan]\nkind = "always"\n'


@pytest.fixture
def node(tmp_path):
    made = TestNode(tmp_path, LINKS)
    now = time.time()

    async def fill():
        opened = made.open()
        runs = opened.store.link_runs
        await runs.begin(LinkRunRecord("isp", now - 100 * 86400, seconds=9, ended="done"))
        for number in range(3):
            run = LinkRunRecord("isp", now, seconds=60, bytes_out=1000, sent=number, ended="done")
            await runs.begin(run)
        await runs.begin(LinkRunRecord("isp", now, problems=("relay: no answer",)))
        await opened.store.set_link("isp", True, now)
        await opened.close()

    asyncio.run(fill())
    return made


def shown(node, capsys, *words):
    assert main.main(["--config", str(node.path), "links", *words]) == 0
    return capsys.readouterr().out


def test_it_shows_the_last_runs_and_what_they_cost_together(node, capsys):
    text = shown(node, capsys, "isp", "--last", "2")
    first, title, *lines = text.splitlines()
    assert first == "isp  event, up"
    assert title.split() == ["began", "seconds", "out", "in", "sent", "fetched", "ended"]
    assert lines[0].split()[2:] == ["60.0", "1,000", "0", "2", "0", "done"]
    assert lines[1].endswith("no end is known; relay: no answer")
    assert lines[2] == "  today: 4 runs, 3.0 min, 3,000 bytes out, 0 in, 3 sent, 0 fetched"
    assert lines[3].startswith("  this month: 4 runs")


def test_a_link_that_was_never_used_says_so(node, capsys):
    assert shown(node, capsys).endswith("lan  always, up\n  nothing has gone over it lately\n")


def test_json_has_it_all(node, capsys):
    isp, lan = json.loads(shown(node, capsys, "--json"))
    assert (isp["link"], isp["is_up"], len(isp["runs"])) == ("isp", True, 5)
    assert isp["today"]["bytes_out"] == 3000
    assert lan["runs"] == []


def test_the_use_by_the_day_is_drawn_in_the_terminal(node, capsys):
    text = shown(node, capsys, "isp", "--plot", "--days", "2")
    title, yesterday, today = text.splitlines()
    assert title.split() == ["isp", "minutes", "bytes"]
    assert yesterday.split()[1:] == ["0.0", "0"]
    assert today.split()[1] == "3.0"
    assert today.split()[3] == "3,000"


def test_the_use_by_the_day_is_drawn_into_a_file(node, capsys, tmp_path):
    picture = tmp_path / "use.svg"
    assert shown(node, capsys, "--plot", str(picture)) == ""
    text = picture.read_text()
    assert text.startswith("<svg ")
    assert "isp: minutes" in text
    assert "lan" not in text


def test_a_picture_that_cannot_be_written_is_named(node, capsys, tmp_path):
    where = str(tmp_path / "no" / "use.svg")
    assert main.main(["--config", str(node.path), "links", "--plot", where]) == 73
    assert capsys.readouterr().err == f"relaynode: {where}: No such file or directory\n"


def test_days_have_a_bound(node, capsys):
    assert main.main(["--config", str(node.path), "links", "--plot", "--days", "0"]) == 64


def test_it_shows_what_is_left_of_budgets_and_what_runs_cost(tmp_path, capsys):
    made = TestNode(
        tmp_path,
        "[link.isp]\nbudget_minutes_per_day = 30\nbudget_megabytes_per_month = 5\n"
        "cost_per_minute = 0.5\nbilling_seconds = 60\n",
    )

    async def fill():
        opened = made.open()
        run = LinkRunRecord("isp", time.time(), seconds=90, bytes_in=10**6, ended="done")
        await opened.store.link_runs.begin(run)
        await opened.close()

    asyncio.run(fill())
    lines = shown(made, capsys).splitlines()
    assert lines[2].endswith("  cost 1.00; done")
    assert lines[3].endswith(", cost 1.00")
    assert lines[5].startswith("  left for a day: 28.50 of 30.00 min, until 20")
    assert lines[6].startswith("  left for a month: 4.00 of 5.00 MB, until 20")
    (isp,) = json.loads(shown(made, capsys, "isp", "--json"))
    day, month = isp["budget"]
    assert (day["seconds"], day["seconds_left"], day["size_bytes"]) == (1800, 1710, None)
    assert (month["period"], month["size_bytes_left"]) == ("month", 4 * 10**6)
    assert (isp["runs"][0]["money"], isp["today"]["money"]) == (1.0, 1.0)
