"""conf/uucp-leaf and conf/dialup do, as they are, what a handbook's reader expects of them.

Where real sendmail was asked the same, its recorded answers are what is expected here.
"""

import json
import socket
from pathlib import Path

import pytest

from relaynode.cli.main import main
from relaynode.config.loader import load
from relaynode.config.sendmail_mc import import_mc
from relaynode.mailers.users import User, Users
from relaynode.policy.rewrite import rewrite
from relaynode.policy.role import Role
from relaynode.rules import Rules

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
RECORDED = json.loads((ROOT / "tests/oracle/sendmail-cases.json").read_text(encoding="utf-8"))
ANYBODY = ("root", "user", "joe", "postmaster")

OWN_ADDRESS = "foo@[192.0.2.1]"
"""Of the machine that was recorded; ours has others."""


class SomeUsers(Users):
    def find(self, name):
        return User(name.lower()) if name.lower() in ANYBODY else None


@pytest.fixture(autouse=True)
def no_dns(monkeypatch):
    """Names are not looked up, whatever is asked."""

    def refuse(*arguments, **_):
        raise AssertionError(f"the DNS was asked for {arguments}")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo", "getfqdn"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket, "gethostname", lambda: "gate.example.org")


def rules_of(folder):
    config = load(CONF / folder / "relaynode.toml")
    return Rules(config, SomeUsers(config.mailbox, frozenset()))


def recorded(kind, *configs):
    return [
        pytest.param(case, id=case["id"])
        for case in RECORDED["cases"]
        if case.get("config") in configs
        and case["kind"] == kind
        and not case["quirk"]
        and case["input"] != OWN_ADDRESS
    ]


@pytest.mark.parametrize("folder", ["uucp-leaf", "dialup"])
def test_the_mc_beside_it_says_the_same(folder, tmp_path):
    imported = import_mc((CONF / folder / f"{folder}.mc").read_text(), f"{folder}.mc")
    path = tmp_path / "relaynode.toml"
    path.write_text(imported.toml)
    ours, theirs = load(CONF / folder / "relaynode.toml").file, load(path).file
    assert imported.not_understood == []
    for section in ("masquerade", "routing", "access", "link", "local", "queue"):
        assert getattr(ours, section) == getattr(theirs, section), section
    assert ours.node.hostname == theirs.node.hostname
    assert ours.node.local_domains == theirs.node.local_domains


@pytest.mark.parametrize("folder", ["uucp-leaf", "dialup"])
def test_check_finds_nothing_wrong_or_odd(folder, capsys):
    assert main(["--config", str(CONF / folder / "relaynode.toml"), "check"]) == 0
    assert capsys.readouterr().err == ""


# ---- the UUCP leaf


@pytest.mark.parametrize("case", recorded("route", "uucp-full", "uucp-simple"))
def test_the_uucp_leaf_sends_mail_where_sendmail_does(case):
    assert str(rules_of("uucp-leaf").routing.route(case["input"]).route) == case["expect"]["line"]


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("foo@heep.sax.de", "mailer uucp-dom, host your.uucp.relay, user foo@heep.sax.de"),
        ("other!foo", "mailer uucp-dom, host your.uucp.relay, user other!foo@your.uucp.relay"),
        ("foo@sub.horus.UUCP", "mailer uucp-dom, host your.uucp.relay, user"),
        ("foo@example.com", "mailer uucp-dom, host your.uucp.relay, user foo@example.com"),
    ],
)
def test_the_uucp_leaf_knows_a_way_to_the_rest_of_the_world(address, line):
    """What the handbook's own table, with nothing behind its last colon, could not send."""
    assert str(rules_of("uucp-leaf").routing.route(address).route).startswith(line)


@pytest.mark.parametrize("case", recorded("rewrite", "uucp-simple"))
def test_the_uucp_leaf_shows_addresses_as_sendmail_does(case):
    masquerade = rules_of("uucp-leaf").masquerade
    for role in Role:
        found = rewrite(masquerade, case["input"], role, mailer=case["mailer"])
        assert found.result == case["expect"][role.value], role


def test_the_decision_of_the_leaf_names_table_line_and_key():
    decision = rules_of("uucp-leaf").routing.route("foo@pc7.heep.sax.de")
    (hit,) = [step for step in decision.trail if "smtp8" in step.answer]
    lines = (CONF / "uucp-leaf" / "mailertable").read_text().split("\n")
    number = next(n for n, line in enumerate(lines, start=1) if line.startswith(".heep"))
    assert hit.place == f"{CONF}/uucp-leaf/mailertable:{number}"


# ---- the home that dials up


@pytest.mark.parametrize("case", recorded("route", "dialup-literal"))
def test_the_dial_up_home_sends_mail_where_sendmail_does(case):
    assert str(rules_of("dialup").routing.route(case["input"]).route) == case["expect"]["line"]


@pytest.mark.parametrize("case", recorded("rewrite", "dialup-literal"))
def test_the_dial_up_home_hides_its_hosts_also_in_recipients_of_the_header(case):
    """As the file means it: recorded was what today's m4 makes of its order of lines."""
    masquerade = rules_of("dialup").masquerade
    expected = {**case["expect"], "header-recipient": case["expect"]["header-sender"]}
    for role in Role:
        found = rewrite(masquerade, case["input"], role, mailer=case["mailer"])
        assert found.result == expected[role.value], role


def test_nothing_is_asked_of_the_dns_when_the_dial_up_home_takes_mail():
    rules = rules_of("dialup")
    assert not rules.access().settings.needs_dns
    assert not rules._config.file.access.look_up_clients
