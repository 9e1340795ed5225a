"""mailertable: arguments, and what is wrong with an entry."""

import pytest

from relaynode.tables.mailertable import Mailertable, parse_mailertable


def table(text):
    found, problems = parse_mailertable(text, "mailertable")
    assert problems == []
    return found


def complaints(text):
    return [str(problem) for problem in parse_mailertable(text, "/etc/mail/mailertable")[1]]


@pytest.mark.parametrize(
    ("value", "arguments", "expected"),
    [
        ("smtp:%1", (".x.example", "a.b", "b"), "smtp:a.b"),
        ("smtp:%2", (".x.example", "a.b", "b"), "smtp:b"),
        ("smtp:x%0", (".x.example", "a", "a"), "smtp:x.x.example"),
        ("smtp:(%1%2)%0", ("x.example",), "smtp:()x.example"),
        ("smtp:%1%1", (".example", "ab", "ab"), "smtp:abab"),
        ("smtp:%3%9", (".example", "a", "a"), "smtp:"),
        ("smtp:%%1", (".example", "a", "a"), "smtp:%1"),
        ("smtp:%%%1", (".example", "a", "a"), "smtp:%a"),
        ("smtp:a%z", (".example", "b", "b"), "smtp:a%z"),
        ("smtp:a%", (".example", "b", "b"), "smtp:a%"),
        ("smtp:a%２", (".example", "b", "b"), "smtp:a%２"),
        ("smtp:%1", (".example", "a%2", "a%2"), "smtp:a%2"),
    ],
)
def test_arguments_are_filled_in(value, arguments, expected):
    (entry,) = table(f".example {value}").entries.values()
    assert Mailertable.value(entry, arguments) == expected


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
        "dsmtp:gw.example",
        "discard:",
        "uucp-dom:nbr",
        "uucp-uudom:nbr",
        "uucp-old:nbr",
        "uucp-new:nbr",
        "uucp:nbr",
        "suucp:nbr",
        "esmtp:gw1.example:gw2.example",
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
            "unknown mailer uuxx; known: discard, dsmtp, error, esmtp, local, relay, smtp, smtp8, "
            "suucp, uucp, uucp-dom, uucp-new, uucp-old, uucp-uudom",
        ),
        ("smtp:", "smtp: names no host; write smtp:host.example.net"),
        ("esmtp: ", "esmtp: names no host; write esmtp:host.example.net"),
        ("error:", "error: names no text; write error:550 No such host"),
    ],
)
def test_an_entry_that_cannot_work_is_named_with_a_remedy_and_stays_so_that_mail_waits(
    value, complaint
):
    found, _ = parse_mailertable(f"\nx.example {value}\ny.example smtp:gw\n", "mailertable")
    assert list(found.entries) == ["x.example", "y.example"]
    assert complaints(f"\nx.example {value}\n") == [
        f"/etc/mail/mailertable:2: x.example: {complaint}"
    ]


@pytest.mark.parametrize("host", ["gw # my relay", "gw1::gw2", "[gw ]", "a@"])
def test_an_entry_with_a_wrong_host_is_named_and_stays_so_that_its_mail_waits(host):
    found, _ = parse_mailertable(f"x.example smtp:{host}", "mailertable")
    assert list(found.entries) == ["x.example"]
    assert complaints(f"x.example smtp:{host}") == [
        f"/etc/mail/mailertable:1: x.example: {host} is no host; "
        "write one host, or hosts with colons in between"
    ]


def test_problems_come_in_the_order_of_the_lines():
    text = "a.example gw\n b\nc.example smtp:\nd.example smtp:x y\na.example smtp:x\n"
    _, problems = parse_mailertable(text, "mailertable")
    assert [problem.line for problem in problems] == [1, 2, 3, 4, 5]
