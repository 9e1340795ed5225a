"""Where an address goes: recorded answers of Sendmail, and each rule by itself."""

import json
from pathlib import Path

import pytest

from relaynode.mail.address import parse_path
from relaynode.mail.status import Status
from relaynode.policy.route import Route, Routing, unquote
from relaynode.tables.mailertable import parse_mailertable

RECORDED = json.loads(Path(__file__).with_name("route_cases.json").read_text(encoding="utf-8"))
OURS = frozenset({"bsd.home", "localhost", "hosted.example"})
SMART_HOST = ("isp", "relay.example.net:587")


def routing(mailertable="", smart_host=None, local_domains=OURS):
    table, problems = parse_mailertable(mailertable, "/etc/mail/mailertable")
    assert problems == []
    return Routing(frozenset(local_domains), table, smart_host)


def route(address, mailertable="", smart_host=None):
    return routing(mailertable, smart_host).route(address).route


def trail(address, mailertable="", smart_host=None):
    return [str(step) for step in routing(mailertable, smart_host).route(address).trail]


@pytest.mark.parametrize(
    "case", RECORDED["cases"], ids=lambda case: f"{case['id']} {case['config']} {case['input']}"
)
def test_an_address_goes_where_sendmail_sends_it(case):
    config = RECORDED["configs"][case["config"]]
    table, _ = parse_mailertable("\n".join(config["mailertable"]), "mailertable")
    smart_host = ("isp", config["smart_host"]) if config["smart_host"] else None
    routes = Routing(frozenset(config["local_domains"]), table, smart_host)
    found = routes.route(parse_path(case["input"]))
    expected = case["expect"]
    assert found.route.mailer == expected["mailer"], found.trail
    if expected["mailer"] == "local":
        assert found.route.address.lower() == expected["user"]
    else:
        assert (found.route.host, found.route.address) == (expected["host"], expected["user"])


# ---- ours


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("joe", "joe"),
        ("joe@", "joe"),
        ("joe@bsd.home", "joe"),
        ("joe@BSD.Home.", "joe"),
        ("Joe+tag@localhost", "Joe+tag"),
        ('"joe b"@bsd.home', "joe b"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("a%b@bsd.home", "a%b"),
    ],
)
def test_a_domain_of_ours_or_none_is_local_whatever_the_tables_say(address, user):
    everything = "bsd.home smtp:gw\n. smtp:gw\n"
    assert route(address, everything, SMART_HOST) == Route("local", "", user)


def test_a_sub_domain_of_ours_is_not_ours():
    assert route("joe@sub.bsd.home", smart_host=SMART_HOST).mailer == "relay"


def test_only_quotes_around_the_whole_local_part_are_taken_off():
    assert unquote('"joe b"') == "joe b"
    assert unquote('a"b"') == 'a"b"'
    assert unquote('"') == '"'
    assert unquote('""') == ""


# ---- the mailertable, before the smart host


def test_the_mailertable_comes_before_the_smart_host():
    table = "x.example smtp:gw.example.net\n"
    expected = Route("smtp", "gw.example.net", "u@x.example")
    assert route("u@x.example", table, SMART_HOST) == expected
    assert route("u@y.example", table, SMART_HOST).smart_host == "isp"


def test_the_first_key_that_has_an_entry_decides_and_the_trail_says_where_it_stands():
    table = "# ours\n.example smtp:short\n.b.example relay:long\n"
    assert route("u@a.b.example", table).host == "long"
    assert trail("u@a.b.example", table) == [
        "is a.b.example ours: no",
        "mailertable a.b.example: no entry",
        "mailertable .b.example: relay:long (/etc/mail/mailertable:3)",
    ]


def test_an_entry_may_replace_the_recipient():
    assert route("u@x.example", "x.example smtp:bob@gw.example\n") == Route(
        "smtp", "gw.example", "bob@gw.example"
    )
    assert route("u@x.example", "x.example smtp:@gw.example\n").address == "u@x.example"


def test_an_entry_may_use_the_host_it_was_found_for():
    assert route("u@a.b.pct.example", ".pct.example smtp8:%1\n").host == "a.b"


@pytest.mark.parametrize("host", ["[gw.example]", "[192.0.2.1]:2525", "gw.example:587"])
def test_a_next_hop_stays_as_written(host):
    assert route("u@x.example", f"x.example relay:{host}\n").host == host


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("local:joe", "joe"),
        ("local:", "u"),
        ("local:joe@whatever.example", "joe"),
        ("local:%1", "x"),
    ],
)
def test_local_delivers_to_a_user_of_ours(value, user):
    assert route("u@x.example", f".example {value}\n", SMART_HOST) == Route("local", "", user)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("error:5.7.1:550 Mail to this host is refused", "550 5.7.1 Mail to this host is refused"),
        ("error:4.4.1:450 Try again tomorrow", "450 4.4.1 Try again tomorrow"),
        ("error:5.1.2:No such host", "550 5.1.2 No such host"),
        ("error:4.3.2:come back", "450 4.3.2 come back"),
        ("error:5.7.1:450 later", "450 4.0.0 later"),
        ("error:nohost:No such host here", "550 5.1.2 No such host here"),
        ("error:nouser:550 nobody", "550 5.1.1 nobody"),
        ("error:tempfail:later", "450 4.0.0 later"),
        ("error:usage:no", "501 5.5.2 no"),
        ("error:nouser:no", "550 5.1.1 no"),
        ("error:unavailable:no", "554 5.0.0 no"),
        ("error:software:no", "554 5.3.5 no"),
        ("error:protocol:no", "554 5.5.0 no"),
        ("error:config:no", "554 5.3.5 no"),
        ("error:unavailable:553 gone", "553 5.0.0 gone"),
        ("error:nouser", "554 5.0.0 nouser"),
        ("error:5.1.1", "554 5.0.0 5.1.1"),
        ("error: 5.1.1 : no", "550 5.1.1 no"),
        ("error:NoHost: none", "550 5.1.2 none"),
        ("error:mail refused", "554 5.0.0 mail refused"),
        ("error:550 plain: text", "550 5.0.0 plain: text"),
        ('error:"quoted text"', "554 5.0.0 quoted text"),
        # As in sendmail, a blank does not end a keyword, and a success is no error.
        ("error:nohost No such host", "554 5.0.0 nohost No such host"),
        ("error:2.0.0:fine", "554 5.0.0 2.0.0:fine"),
        ("error:550", "550 5.0.0 Mail for this domain is refused"),
    ],
)
def test_an_error_entry_refuses_with_its_own_words(value, status):
    found = route("u@x.example", f"x.example {value}\n", SMART_HOST)
    assert (found.mailer, str(found.status)) == ("error", status)
    assert str(found) == f"mailer error, {status}"


# ---- literals, smart host, direct


def test_the_mailertable_never_sees_an_address_literal():
    table = "[192.0.2.1] smtp:gw\n. smtp:gw\n"
    literal = "u@[192.0.2.1]"
    assert route(literal, table) == Route("esmtp", "[192.0.2.1]", literal)
    assert route(literal, table, SMART_HOST).smart_host == "isp"
    assert route("u@[IPv6:2001:DB8::1]", table).host == "[ipv6:2001:db8::1]"


def test_a_literal_that_is_named_as_ours_is_local():
    ours = routing(local_domains={"[192.0.2.1]"})
    assert ours.route("u@[192.0.2.1]").route == Route("local", "", "u")


def test_the_smart_host_takes_all_the_rest():
    found = route("u@Far.Example", smart_host=SMART_HOST)
    assert found == Route("relay", "relay.example.net:587", "u@Far.Example", smart_host="isp")
    assert trail("u@far.example", smart_host=SMART_HOST)[-1] == (
        "smart host: isp (relay.example.net:587)"
    )


def test_without_a_smart_host_mail_goes_to_the_domain_itself():
    assert route("u@Far.Example") == Route("esmtp", "far.example", "u@Far.Example")
    assert trail("u@far.example") == [
        "is far.example ours: no",
        "mailertable far.example: no entry",
        "mailertable .example: no entry",
        "mailertable .: no entry",
        "smart host: none",
    ]


def test_a_route_says_what_sendmail_would_print():
    assert str(Route("local", "", "joe")) == "mailer local, user joe"
    assert str(Route("smtp", "gw", "u@x")) == "mailer smtp, host gw, user u@x"
    refused = Route("error", "", "u@x", status=Status(550, "5.1.2", "no"))
    assert str(refused) == "mailer error, 550 5.1.2 no"
