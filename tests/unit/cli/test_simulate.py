"""`relaynode simulate`: what would become of a trace's mail."""

import json

import pytest

from nodes import TestNode
from relaynode.cli import main

SECTIONS = """
[link.isp]
kind = "event"
[smart_host.isp]
host = "mail.isp.example"
tls = "none"
link = "isp"
"""
TRACE = """\
2026-11-01 06:00 mail 14k to friend@far.example grade A
+1h up isp 9600 1000ms for 20m
+1h mail 500k
"""


@pytest.fixture
def simulate(tmp_path, capsys, monkeypatch):
    node = TestNode(tmp_path / "node", SECTIONS)
    monkeypatch.setenv("RELAYNODE_CONFIG", str(node.path))

    def run(text, *words):
        path = tmp_path / "t.trace"
        path.write_text(text)
        code = main.main(["simulate", str(path), *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_delays_bytes_and_what_is_left_are_told(simulate):
    code, told, _ = simulate(TRACE)
    assert code == 0
    assert "  grade A                   1    60 min" in told
    assert "isp: 1 runs, 0.3 min, 14,6" in told
    assert "left at the end: 1 mails, 512,000 bytes" in told


def test_each_run_is_one_line_if_that_is_asked_for(simulate):
    _, told, _ = simulate(TRACE, "-v")
    assert [line for line in told.splitlines() if line.startswith("2026-11-01 07:00:00 isp")]


def test_all_of_it_can_be_had_as_json(simulate):
    _, told, _ = simulate(TRACE, "--json")
    shown = json.loads(told)
    assert shown["out"]["mails"] == 2
    assert shown["out"]["by_grade"]["A"]["arrived"] == 1
    assert shown["links"]["isp"]["sent"] == shown["link_runs"][0]["sent"] == 1


def test_a_trace_that_is_wrong_is_named_with_file_line_and_remedy(simulate):
    code, _, told = simulate("2026-11-01 06:00 fly isp\n")
    assert code == 65
    assert 't.trace:1: "fly" is no event; write one of' in told


def test_a_trace_that_is_not_there_is_named(simulate, tmp_path, capsys):
    assert main.main(["simulate", str(tmp_path / "none.trace")]) == 66
    assert "none.trace: No such file" in capsys.readouterr().err


def test_a_trace_that_is_no_text_is_named(simulate, tmp_path, capsys):
    (tmp_path / "bytes.trace").write_bytes(b"\xff\xfe")
    assert main.main(["simulate", str(tmp_path / "bytes.trace")]) == 66
    assert "not UTF-8" in capsys.readouterr().err
