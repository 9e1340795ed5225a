"""What is odd in tables that can be read: told with file, line and remedy, and only that."""

from dataclasses import replace

import pytest

from relaynode.policy.access_rules import AccessSettings, Delay
from relaynode.policy.lint import Site, lint
from relaynode.policy.lint.whole import lint_line_ends
from relaynode.policy.names import Names
from relaynode.policy.route import Routing
from relaynode.policy.routing_settings import Relays
from relaynode.tables.access import parse_access
from relaynode.tables.aliases import parse_aliases
from relaynode.tables.genericstable import parse_genericstable
from relaynode.tables.mailertable import parse_mailertable
from relaynode.tables.virtusertable import parse_virtusertable

NAMES = Names(
    hostname="gate.example.org",
    local=frozenset({"gate.example.org", "localhost", "hosted.example", "me.uucp"}),
    virtual=frozenset({"virt.example"}),
    generic=frozenset({"gen.example"}),
)
USERS = {"root", "joe", "alice", "bob"}


def site(
    *,
    mailertable="",
    virtusertable="",
    genericstable="",
    access="",
    aliases="",
    names=NAMES,
    **more,
):
    settings = more.pop("settings", AccessSettings())
    found = Site(
        routing=Routing(
            names=names,
            mailertable=parse_mailertable(mailertable, "mailertable")[0],
            virtusertable=parse_virtusertable(virtusertable, "virtusertable")[0],
            relays=more.pop("relays", Relays()),
        ),
        genericstable=parse_genericstable(genericstable, "genericstable")[0],
        access=parse_access(access, "access")[0],
        access_settings=settings,
        aliases=parse_aliases(aliases, "aliases")[0],
        has_user=USERS.__contains__,
    )
    return replace(found, **more)


def told(**tables):
    return [
        f"{'error' if finding.is_error else 'warning'} {finding.problem}"
        for finding in lint(site(**tables))
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "hosted.example smtp:x",
            "hosted.example never matches: mail for this domain is delivered",
        ),
        ("ME.uucp uucp-dom:x", "me.uucp never matches: mail for this domain is delivered here"),
        ("a.example. smtp:x", "a.example. never matches: hosts are looked up without the dot"),
        (
            "*.a.example smtp:x",
            "*.a.example never matches: sub-domains are meant by a dot; write .a",
        ),
        ("[192.0.2.1] smtp:x", "[192.0.2.1] never matches: mail for an address literal goes"),
        (
            "joe@a.example smtp:x",
            "joe@a.example never matches: only domains are looked up; write a.",
        ),
        ("nbr!a smtp:x", "nbr!a never matches: only domains are looked up; write a"),
        ("a..example smtp:x", "a..example never matches: no host has two dots in a row; write a.e"),
        ("a.example smtp:[h]:2525", "a.example: 2525 is taken for a port here"),
        ("a.example error:nohost Not here", "a blank behind nohost makes it a part of the text"),
        ("a.example error:5.1.2 Not here", "a blank behind 5.1.2 makes it a part of the text"),
        (
            "a.example error:nosuch:Not here",
            "a.example: nosuch is no D.S.N and no word of sysexits",
        ),
        ("a.example local:nobody2", "a.example: nobody here is called nobody2"),
        ("a.example smtp:%1", "a.example: %1 is empty for a whole domain"),
        (".a.example smtp:%3", ".a.example: %3 is always empty; there are %0, %1 and %2"),
    ],
)
def test_an_odd_mailertable_line_is_a_warning(line, text):
    (found,) = told(mailertable=f"# one\n{line}\n")
    assert found.startswith("warning mailertable:2: ")
    assert text in found


@pytest.mark.parametrize(
    "host", ["gate.example.org", "[gate.example.org]", "hosted.example", "localhost"]
)
def test_a_mailertable_line_that_leads_back_to_us_is_an_error(host):
    (found,) = told(mailertable=f"a.example esmtp:{host}\n")
    assert found.startswith(f"error mailertable:1: a.example: {host.strip('[]')} is this host")


@pytest.mark.parametrize(
    "line",
    [
        "a.example smtp:h.example", ".a.example smtp:%1.lan", ". uucp-dom:isp", ".UUCP uucp-old:%1",
        "nbr.UUCP uucp-dom:nbr", "A.Example esmtp:[H.example]", "a.example error:5.7.1:550 No",
        "a.example error:nohost:No", "a.example error:mail refused", "a.example local:joe",
        "a.example local:", ".hosted.example smtp:h", "com esmtp:h", "a.example esmtp:h1:h2",
        "a.example smtp:bob@h.example", "a.example local:joe@x.example", "[h smtp:50%%",
    ],
)  # fmt: skip
def test_a_mailertable_line_that_works_is_not_told(line):
    assert told(mailertable=line.replace("[h", "h") + "\n") == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a@else.example joe", "a@else.example never matches: else.example is neither ours nor in"),
        ("a@sub.virt.example joe", "a@sub.virt.example never matches"),
        ("a@ joe", "a@ never matches: it has no domain; write a@gate.example.org"),
        ("a@virt.example. joe", "never matches: domains are looked up without the dot"),
        ("a@virt.example nobody2", "a@virt.example: nobody here is called nobody2"),
        ("a@virt.example joe-%4@x.example", "a@virt.example: %4 is always empty"),
        ("a@virt.example error:nouser:550 Gone", "the colon behind nouser becomes a part"),
        ("a@virt.example error:No such user", "No is no D.S.N and no word of sysexits"),
    ],
)
def test_an_odd_virtusertable_line_is_a_warning(line, text):
    (found,) = told(virtusertable=f"{line}\n")
    assert found.startswith("warning virtusertable:1: ")
    assert text in found


@pytest.mark.parametrize(
    "text",
    [
        "joe@virt.example joe", "joe@virt.example joe+list", "a@virt.example team",
        "a@virt.example joe@else.example", "a@virt.example nbr!joe", "a@virt.example |/bin/x",
        "@virt.example %1@else.example", "@virt.example %1", "@hosted.example catch-%1",
        "a@virt.example error:5.1.1:550 Gone", "a@virt.example error:nouser 550 Gone",
        "a@virt.example error:550 Gone", "a@virt.example b@virt.example\nb@virt.example joe",
        "@virt.example %1@hosted.example\nx@hosted.example joe",
        "u+*@virt.example u-%2@virt.example\n", "@virt.example joe\njoe@virt.example joe",
    ],
)  # fmt: skip
def test_a_virtusertable_that_works_is_not_told(text):
    assert told(virtusertable=text + "\n", aliases="team: joe, alice\n") == []


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        ("a@virt.example a@virt.example", "a@virt.example -> a@virt.example"),
        (
            "a@virt.example b@virt.example\nb@virt.example a@virt.example",
            "a@virt.example -> b@virt.example -> a@virt.example",
        ),
        (
            "@virt.example %1@hosted.example\n@hosted.example %1@virt.example",
            "@virt.example -> @hosted.example -> @virt.example",
        ),
        ("u+*@virt.example u+%2@virt.example", "u+*@virt.example -> u+*@virt.example"),
        ("+*@virt.example %1+%2@virt.example", "+*@virt.example -> +*@virt.example"),
    ],
)
def test_a_circle_in_the_virtusertable_is_an_error_told_once(text, circle):
    (found,) = told(virtusertable=text + "\n")
    assert found.startswith(f"error virtusertable:1: {circle}: goes round in a circle; ")


def test_sub_domains_count_when_the_settings_say_so():
    names = replace(NAMES, virtual_entire_domain=True, generic_entire_domain=True)
    assert told(virtusertable="a@sub.virt.example joe\n", names=names) == []
    assert told(genericstable="a@sub.gen.example joe@x.example\n", names=names) == []


@pytest.mark.parametrize("relays", [Relays(luser_relay="hub.example"), Relays(mail_hub="smtp:hub")])
def test_nobody_is_missed_where_a_relay_takes_all_names(relays):
    tables = {"virtusertable": "a@virt.example nobody2\n", "aliases": "team: nobody2\n"}
    assert len(told(**tables)) == 2
    assert told(**tables, relays=relays) == []
    assert told(**tables, has_other_names=True) == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("joe@else.example a@x.example", "never matches: else.example is not in [masquerade]"),
        ("joe@hosted.example a@x.example", "never matches: hosted.example is not in"),
        ("joe@gen.example. a@x.example", "never matches: domains are looked up without the dot"),
        ("joe@ a@x.example", "joe@ never matches: it has no domain; write joe"),
        ("joe a@x.example, b@x.example", "joe: a@x.example, b@x.example is more than one address"),
        ("joe %2@x.example", "joe: %2@x.example has an argument that is always empty"),
    ],
)
def test_an_odd_genericstable_line_is_a_warning(line, text):
    (found,) = told(genericstable=f"{line}\n")
    assert found.startswith("warning genericstable:1: ")
    assert text in found


def test_a_genericstable_that_works_is_not_told():
    """Names without a domain are looked up with our own."""
    table = (
        "joe j@x.example\njoe@Gate.example.org j@x.example\n@gen.example %1@x.example\nc+* c-%1\n"
    )
    assert told(genericstable=table) == []


@pytest.mark.parametrize(
    ("line", "text", "settings"),
    [
        ("Spam:joe@x.example FRIEND", "is asked only with delay_checks", {}),
        ("To:joe@x.example REJECT", "but for RELAY", {"blocklist_recipients": False}),
        ("Connect:joe@x.example REJECT", "a client is a host or an address", {}),
        (".x.example REJECT", "stands for what is below it without a dot; write x.example", {}),
        ("x.example. REJECT", "no dot at their end; write x.example", {}),
        ("10.1. RELAY", "no dot at their end; write 10.1", {}),
        ("10.300 RELAY", "this is no IP address", {}),
        ("1.2.3.4.5 RELAY", "this is no IP address", {}),
    ],
)
def test_an_access_line_that_never_counts_is_a_warning(line, text, settings):
    (found,) = told(access=f"{line}\n", settings=AccessSettings(**settings))
    assert found.startswith("warning access:1: ")
    assert text in found


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("Spam:joe@x.example FRIEND", {"delay_checks": Delay.FRIEND}),
        ("Spam:joe@x.example HATER", {"delay_checks": Delay.HATER}),
        ("To:x.example RELAY", {"blocklist_recipients": False}),
        ("x.example REJECT", {"blocklist_recipients": False}),
        (".x.example REJECT", {"has_dot_domains": True}),
        ("10 RELAY", {}), ("192.0.2.255 OK", {}), ("IPv6:2001:db8 RELAY", {}), ("spam@ REJECT", {}),
        ("Connect:x.example OK", {}), ("From:a@b.example REJECT", {}), ("[192.0.2.1] OK", {}),
    ],
)  # fmt: skip
def test_an_access_line_that_counts_is_not_told(line, settings):
    assert told(access=f"{line}\n", settings=AccessSettings(**settings)) == []


@pytest.mark.parametrize(
    ("text", "nobody"),
    [
        ("team: joe, nobody2", "nobody2"),
        ("team: nobody2@gate.example.org", "nobody2"),
        ("team: Nobody <nobody2@hosted.example>", "nobody2"),
        ("team: \\nobody2", "\\nobody2"),
        ("self: self, joe", "self"),
        ("team: nobody2+detail", "nobody2+detail"),
    ],
)
def test_an_alias_for_nobody_is_a_warning(text, nobody):
    (found,) = told(aliases=f"# one\n{text}\n")
    assert found.startswith("warning aliases:2: ")
    assert found.partition(";")[0].endswith(f"nobody here is called {nobody}")


@pytest.mark.parametrize(
    "text",
    [
        "joe: joe, alice", "joe: \\joe, x@else.example", "team: JOE, Alice@Gate.Example.ORG",
        'team: "|/usr/bin/x y", /var/mail/z, :include:/etc/mail/list', "team: nbr!nobody2",
        "a: b\nb: joe", "x+*: joe\nteam: x+y", "team: joe+detail", "team: a%b@gate.example.org",
        "joe: alice\nalice: joe", "m1: m2, bob\nm2: m1", "l1: l2\nl2: l1, x@else.example",
        '"odd name": joe', "team: error:nouser x", "owner-team: joe\nteam: alice",
    ],
)  # fmt: skip
def test_an_alias_that_works_is_not_told(text):
    assert told(aliases=text + "\n") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("l1: l2\nl2: l1", "l1, l2"),
        ("x: joe\nl1: l2, l3\nl2: l1\nl3: l2", "l1, l2, l3"),
        ("l1: l2+d\nl2: l1@gate.example.org", "l1, l2"),
    ],
)
def test_aliases_that_stand_only_for_each_other_are_an_error(text, names):
    (found,) = told(aliases=text + "\n")
    assert found.startswith("error aliases:")
    assert f"{names}: stand for each other and for nobody else" in found


def test_aliases_that_are_too_deep_are_an_error():
    """Ten are followed; seen with sendmail."""
    chain = "".join(f"d{n}: d{n + 1}\n" for n in range(1, 11)) + "d11: joe\n"
    (found,) = told(aliases=chain)
    assert found.startswith("error aliases:1: d1: 11 aliases deep")


@pytest.mark.parametrize("key", ["smart_host", "mail_hub", "uucp_relay"])
def test_a_relay_that_is_this_host_is_a_warning(key):
    for value in ("gate.example.org", "smtp:[hosted.example]", "relay:x@gate.example.org"):
        (found,) = told(relays=Relays(**{key: value}))
        assert found.startswith(f"warning relaynode.toml: routing.{key}: ")
    assert told(relays=Relays(**{key: "hub.example.net"})) == []


def test_carriage_returns_are_told_once_with_the_first_line():
    found = lint_line_ends("mailertable", [b"# one\n", b"a b:c\r\n", b"d e:f\r\n"])
    assert str(found.problem).startswith("mailertable:2: the line ends in CR LF")
    assert lint_line_ends("mailertable", [b"a b:c\n", b"d e:f"]) is None


def test_long_tables_are_gone_through_without_recursion_and_once():
    """Each entry is looked at a bounded number of times: a chain of 20,000 does not stop it."""
    count = 20_000
    aliases = "".join(f"c{n}: c{n + 1}\n" for n in range(count)) + f"c{count}: joe\n"
    table = "".join(f"u{n}@virt.example joe\n" for n in range(count))
    assert len(told(aliases=aliases, virtusertable=table)) == count - 9
