"""What a run over a link tells of the calls to neighbours."""

import json

from relaynode.cli.progress import Screen
from relaynode.links.calling import Called
from relaynode.links.summary import Summary
from relaynode.uucp.record import Record, Status

COMPLETE = Record(
    neighbour="horus",
    protocol="i",
    status=Status.COMPLETE,
    began_at=10.0,
    ended_at=22.5,
    sent_bytes=4000,
    received_bytes=900,
    sent_files=3,
    received_files=1,
)


def called(record=COMPLETE, *, is_over=True):
    made = Called("horus")
    made.follow(record)
    if is_over:
        made.ended(record)
    return made


def test_a_call_is_in_the_summary_with_its_files_and_bytes():
    summary = Summary("far", calls=[called()])
    summary.count.sent(4050)
    summary.count.received(900)
    values = json.loads(json.dumps(summary.as_json()))
    assert values["calls"] == [
        {
            "neighbour": "horus",
            "protocol": "i",
            "seconds": 12.5,
            "sent_files": 3,
            "received_files": 1,
            "bytes_out": 4000,
            "bytes_in": 900,
        }
    ]
    assert (values["bytes_out"], values["bytes_in"]) == (4050, 900)
    assert summary.is_clean and values["problems"] == []


def test_a_call_that_goes_on_shows_how_far_it_is_and_is_no_problem():
    record = Record(neighbour="horus", sent_bytes=100)
    summary = Summary("far", calls=[called(record, is_over=False)])
    summary.count.sent(100)
    assert summary.as_json()["bytes_out"] == 100
    record.sent_bytes = 300
    summary.count.sent(200)
    assert summary.as_json()["bytes_out"] == 300
    assert summary.is_clean


def test_a_call_that_broke_is_a_problem_with_its_reason():
    broken = Record(neighbour="horus", status=Status.CALL_FAILED, error="Line disconnected")
    summary = Summary("far", calls=[called(broken)])
    assert not summary.is_clean
    assert summary.as_json()["problems"] == ["horus: Line disconnected"]


def test_people_are_told_of_each_call(capsys):
    summary = Summary("far", calls=[called()], seconds=13.0)
    Screen().end(summary.as_json())
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("far: 0 sent, 0 received")
    assert said[1] == "  called horus: 3 files out, 1 in; 4000 bytes out, 900 in, 12.5 s"


def test_a_run_without_calls_says_nothing_of_them(capsys):
    Screen().end(Summary("far").as_json())
    assert len(capsys.readouterr().out.splitlines()) == 1
