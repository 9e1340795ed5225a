"""`relaynode explain`: the way that mail takes, without asking anybody; what `check` says of it."""

import json
import socket

import pytest

from nodes import TestNode
from relaynode.cli.main import main

SECTIONS = """
[smart_host.isp]
host = "relay.example.net:587"
[smart_host.work]
host = ["mail.work.example", "mail2.work.example"]
[sender."@work.example"]
smart_host = ["work", "isp"]
"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **_):
        raise AssertionError(f"the network was asked for {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("dns.asyncresolver.Resolver.resolve", refuse)


def explained(tmp_path, capsys, *words, sections=SECTIONS, **tables):
    node = TestNode(tmp_path, sections, tables=tables)
    assert main(["--config", str(node.path), "explain", "--json", *words]) == 0
    return [one["way"] for one in json.loads(capsys.readouterr().out)]


def test_the_way_depends_on_the_sender(tmp_path, capsys):
    assert explained(tmp_path, capsys, "x@far.example") == [
        "smart host isp (relay.example.net:587)"
    ]
    assert explained(tmp_path, capsys, "--from", "boss@work.example", "x@far.example") == [
        "smart host work (mail.work.example, mail2.work.example), "
        "then smart host isp (relay.example.net:587)"
    ]


def test_that_the_dns_will_be_asked_is_said_and_not_done(tmp_path, capsys):
    table = "gw.example esmtp:[gw.lan]\n"
    words = ("x@far.example", "x@gw.example", "x@[192.0.2.1]", "user")
    assert explained(tmp_path, capsys, *words, sections="", mailertable=table) == [
        "MX of far.example, asked at delivery",
        "host gw.lan by its addresses",
        "address 192.0.2.1",
        "",
    ]


def test_check_tells_what_a_validating_resolver_needs(tmp_path, capsys, monkeypatch):
    node = TestNode(tmp_path, "[dns]\nvalidates = true\n")
    assert main(["--config", str(node.path), "check"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("relaynode.cli.check.can_vouch", lambda: False)
    assert main(["--config", str(node.path), "check"]) == 0
    assert "pip install 'relaynode[dane]'" in capsys.readouterr().err
