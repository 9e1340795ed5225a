"""mailertable: keys, arguments, and what is wrong with an entry."""

import pytest

from relaynode.tables.mailertable import Mailertable, Target, parse_mailertable


def table(text):
    found, problems = parse_mailertable(text, "mailertable")
    assert problems == []
    return found


def target(text, host):
    """What the first entry that matches says."""
    found = table(text)
    key = next(key for key in found.keys(host) if key in found.entries)
    return found.target(host, found.entries[key])


def complaints(text):
    return [str(problem) for problem in parse_mailertable(text, "/etc/mail/mailertable")[1]]


@pytest.mark.parametrize(
    ("host", "keys"),
    [
        ("a.b.c", ["a.b.c", ".b.c", ".c", "."]),
        ("A.Example", ["a.example", ".example", "."]),
        ("shortname", ["shortname", "."]),
        ("nbr.UUCP", ["nbr.uucp", ".uucp", "."]),
    ],
)
def test_a_host_is_looked_up_whole_then_by_its_suffixes_then_by_the_dot(host, keys):
    assert list(Mailertable.keys(host)) == keys


def test_a_domain_never_matches_its_sub_domains_nor_a_suffix_the_domain_itself():
    assert "dom.example" not in Mailertable.keys("sub.dom.example")
    assert ".dom.example" not in Mailertable.keys("dom.example")


def test_the_longest_suffix_wins_wherever_it_stands():
    text = ".example smtp:short\n.b.example smtp:long\n"
    assert target(text, "a.b.example") == Target("smtp", "long")


@pytest.mark.parametrize(
    ("entry", "host", "expected"),
    [
        (".x.example smtp:%1", "a.b.x.example", "a.b"),
        (".x.example smtp:%2", "a.b.x.example", "b"),
        (".x.example smtp:x%0", "a.x.example", "x.x.example"),
        ("x.example smtp:(%1%2)%0", "x.example", "()x.example"),
        (". smtp:%1+%2", "a.example", "a.example+"),
        (". smtp:%0", "a.example", "."),
        (".example smtp:%1%1", "ab.example", "abab"),
        (".example smtp:%3%9", "a.example", ""),
        (".example smtp:%%1", "a.example", "%1"),
        (".example smtp:%%%1", "a.example", "%a"),
        (".example smtp:a%z", "b.example", "a%z"),
        (".example smtp:a%", "b.example", "a%"),
        (".example smtp:a%２", "b.example", "a%２"),
        (".example smtp:%1", "a%2.example", "a%2"),
        (".example local:%1", "ann.example", "ann"),
    ],
)
def test_arguments_are_filled_in(entry, host, expected):
    found, _ = parse_mailertable(entry, "mailertable")
    (only,) = found.entries.values()
    assert found.target(host, only).host == expected


def test_the_mailer_is_known_in_any_case_and_the_host_keeps_its_own():
    assert target("x.example SMTP:Relay.Example", "x.example") == Target("smtp", "Relay.Example")


def test_a_blank_behind_the_colon_does_not_matter():
    assert target("x.example esmtp: gw.example", "x.example") == Target("esmtp", "gw.example")


@pytest.mark.parametrize(
    "value",
    [
        "smtp:gw",
        "esmtp:[gw.example.net]",
        "smtp8:[192.0.2.1]:2525",
        "relay:gw.example.net:587",
        "relay:[IPv6:2001:db8::1]",
        "smtp:bob@other.example.net",
        "smtp:%1.internal",
        "local:",
        "local:joe",
        "LOCAL:",
        "Error:nobody home",
        "error:550 no",
        "error:5.7.1:550 no",
        "error:nohost:no such host: none",
    ],
)
def test_every_form_of_a_value_is_taken(value):
    assert complaints(f"x.example {value}") == []


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("gw.example", "gw.example names no mailer; write smtp:gw.example"),
        (
            "uuxx:gw",
            "unknown mailer uuxx; known: error, esmtp, local, relay, smtp, smtp8",
        ),
        ("smtp:", "smtp: names no host; write smtp:host.example.net"),
        ("esmtp: ", "esmtp: names no host; write esmtp:host.example.net"),
        ("error:", "error: names no text; write error:550 No such host"),
    ],
)
def test_an_entry_that_cannot_work_is_left_out_and_named_with_a_remedy(value, complaint):
    found, _ = parse_mailertable(f"\nx.example {value}\ny.example smtp:gw\n", "mailertable")
    assert list(found.entries) == ["y.example"]
    assert complaints(f"\nx.example {value}\n") == [
        f"/etc/mail/mailertable:2: x.example: {complaint}"
    ]


@pytest.mark.parametrize(
    "host", ["gw # my relay", "gw1.example:gw2.example", "gw:port", "[gw", "a@"]
)
def test_an_entry_with_a_wrong_host_is_named_and_stays_so_that_its_mail_waits(host):
    found, _ = parse_mailertable(f"x.example smtp:{host}", "mailertable")
    assert list(found.entries) == ["x.example"]
    assert complaints(f"x.example smtp:{host}") == [
        f"/etc/mail/mailertable:1: x.example: {host} is no host or host:port; "
        "write one host and nothing behind it"
    ]


def test_problems_come_in_the_order_of_the_lines():
    text = "a.example gw\n b\nc.example smtp:\nd.example smtp:x y\na.example smtp:x\n"
    _, problems = parse_mailertable(text, "mailertable")
    assert [problem.line for problem in problems] == [1, 2, 3, 4, 5]
