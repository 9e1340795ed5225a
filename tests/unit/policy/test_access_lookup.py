"""Which keys of the access table are tried, in which order, and which entry decides."""

import pytest

from relaynode.policy.access_lookup import (
    CONNECT,
    FROM,
    FROM_STRICT,
    SPAM,
    TO,
    AccessLookup,
)
from relaynode.policy.trail import Trail
from relaynode.tables.access import Access, parse_access
from relaynode.tables.access_value import Action


class Recording(dict):
    """Entries that remember what was asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def get(self, key, default=None):
        self.asked.append(key)
        return super().get(key, default)


def keys(look_up, **options):
    """The keys that a look-up tries in an empty table."""
    entries = Recording()
    look_up(AccessLookup(Access("access", entries), Trail(), **options))
    return entries.asked


def lookup(text, trail=None, **options):
    table, problems = parse_access(text, "access")
    assert problems == []
    return AccessLookup(table, trail or Trail(), **options)


def test_a_host_is_tried_whole_then_what_it_is_below_each_with_its_tag_first():
    assert keys(lambda found: found.domain(TO, "A.b.example")) == [
        *("to:a.b.example", "a.b.example"),
        *("to:b.example", "b.example"),
        *("to:example", "example"),
    ]


def test_a_strict_tag_is_never_left_out():
    assert keys(lambda found: found.domain(SPAM, "b.example")) == ["spam:b.example", "spam:example"]
    assert keys(lambda found: found.mailbox(FROM_STRICT, "u", "b.example")) == ["from:u@b.example"]


@pytest.mark.parametrize(
    ("address", "tried"),
    [
        ("192.0.2.7", ["192.0.2.7", "192.0.2", "192.0", "192"]),
        (
            "IPv6:2001:db8:0:0:0:0:0:1",
            [
                "ipv6:2001:db8:0:0:0:0:0:1",
                "ipv6:2001:db8:0:0:0:0:0",
                "ipv6:2001:db8:0:0:0:0",
                "ipv6:2001:db8:0:0:0",
                "ipv6:2001:db8:0:0",
                "ipv6:2001:db8:0",
                "ipv6:2001:db8",
                "ipv6:2001",
                "ipv6",
            ],
        ),
    ],
)
def test_an_address_is_cut_from_behind(address, tried):
    asked = keys(lambda found: found.address(CONNECT, address))
    assert asked[1::2] == tried
    assert asked[::2] == [f"connect:{key}" for key in tried]


def test_a_literal_is_cut_inside_its_brackets():
    asked = keys(lambda found: found.domain(FROM, "[192.0.2.7]"))
    assert asked[1::2] == ["[192.0.2.7]", "[192.0.2]", "[192.0]", "[192]"]


def test_a_mailbox_is_tried_with_its_detail_with_any_detail_and_without():
    assert keys(lambda found: found.mailbox(FROM, "Joe+x", "b.example"))[1::2] == [
        "joe+x@b.example",
        "joe+*@b.example",
        "joe@b.example",
    ]
    assert keys(lambda found: found.mailbox(TO, "joe+x", ""))[1::2] == ["joe+x@", "joe+*@", "joe@"]
    assert keys(lambda found: found.mailbox(TO, "joe", ""))[1::2] == ["joe@"]
    assert keys(lambda found: found.mailbox(TO, "+x", ""))[1::2] == ["+x@"]


def test_dot_domains_are_tried_only_where_they_are_wanted():
    def tried(**options):
        return keys(lambda found: found.domain(TO, "a.b.example"), **options)[1::2]

    assert tried(has_dot_domains=True) == [
        *("a.b.example", ".b.example", "b.example", ".example", "example")
    ]
    assert tried() == ["a.b.example", "b.example", "example"]


def test_the_more_specific_entry_wins_wherever_it_stands():
    found = lookup("example REJECT\nTo:b.example OK\nb.example DISCARD\n")
    assert found.domain(TO, "a.b.example").action is Action.OK
    assert found.domain(FROM, "a.b.example").action is Action.DISCARD
    assert found.domain(FROM, "c.example").action is Action.REJECT
    assert found.domain(FROM, "c.other") is None


def test_a_network_ends_at_a_dot():
    found = lookup("192.16 REJECT\n")
    assert found.address(CONNECT, "192.168.1.1") is None
    assert found.address(CONNECT, "192.16.8.1").action is Action.REJECT


def test_skip_ends_the_search_for_hosts_and_networks_but_is_found_for_mailboxes():
    found = lookup("example REJECT\nb.example SKIP\n10 REJECT\n10.1 SKIP\nu@ SKIP\n")
    assert found.domain(TO, "a.b.example") is None
    assert found.address(CONNECT, "10.1.1.1") is None
    assert found.address(CONNECT, "10.2.1.1").action is Action.REJECT
    assert found.mailbox(TO, "u", "").action is Action.SKIP


def test_the_trail_names_the_entry_and_its_line_or_that_there_was_none():
    trail = Trail()
    found = lookup('# x\nTo:b.example ERROR:"550 5.7.1 no"\n', trail)
    found.domain(TO, "a.b.example")
    found.mailbox(TO, "u", "c.example")
    assert [str(step) for step in trail.steps] == [
        'access to:b.example: ERROR:"550 5.7.1 no" (access:2)',
        "access To:u@c.example: no entry",
    ]
