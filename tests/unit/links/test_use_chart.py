"""Link use by the day, drawn."""

from datetime import date, datetime
from xml.etree import ElementTree

from relaynode.links.use_chart import BAR_WIDTH, Day, by_day, lines, svg
from relaynode.queue.link_runs import LinkRunRecord

TODAY = date(2026, 11, 22)


def run(day, seconds, out=0, back=0):
    began = datetime(2026, 11, day, 23, 59, 30).timestamp()
    return LinkRunRecord("isp", began, seconds=seconds, bytes_out=out, bytes_in=back)


def test_a_run_belongs_to_the_day_on_which_it_began_and_empty_days_are_there():
    runs = [run(19, 999), run(20, 60, 10, 5), run(20, 30, 1), run(22, 6)]
    assert by_day(runs, TODAY, 3) == [
        Day(date(2026, 11, 20), 1.5, 11, 5),
        Day(date(2026, 11, 21)),
        Day(TODAY, 0.1),
    ]


def test_the_longest_bar_is_that_of_the_most_and_the_least_use_is_seen():
    days = by_day([run(20, 6000, 1000), run(22, 1, 500, 500)], TODAY, 3)
    _, first, second, third = lines("isp", days)
    assert first.count("█") == 2 * BAR_WIDTH
    assert second.split() == ["2026-11-21", "0.0", "0"]
    assert third.split() == ["2026-11-22", "0.0", "▏", "1,000", "█" * BAR_WIDTH]


def test_without_any_use_there_are_no_bars():
    assert "█" not in "".join(lines("isp", by_day([], TODAY, 3)))


def test_the_picture_is_well_formed_and_its_bars_are_in_proportion():
    days = by_day([run(20, 60, 100, 300), run(22, 30, 100)], TODAY, 3)
    root = ElementTree.fromstring(svg([("a<b", days)]))
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if "class" in one.attrib]
    heights = {}
    for bar in bars:
        heights.setdefault(bar.get("class"), []).append(float(bar.get("height")))
    assert heights == {"min": [120.0, 60.0], "out": [30.0, 30.0], "in": [90.0]}
    titles = [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "2026-11-20: out 100, in 300" in titles
    assert max(float(one.get("x")) for one in bars) < float(root.get("width"))
