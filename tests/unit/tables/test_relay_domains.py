"""relay-domains: one name or network a line."""

from hypothesis import given
from hypothesis import strategies as st

from relaynode.tables.relay_domains import (
    RelayDomains,
    format_relay_domains,
    parse_relay_domains,
)


def test_names_and_networks_are_read_with_their_lines():
    text = "# ours\nCustomer.Example\n\n 198.51.100\r\nIPv6:2001:db8\ncustomer.example\n"
    table, problems = parse_relay_domains(text, "relay-domains")
    assert table == RelayDomains(
        "relay-domains", {"customer.example": 2, "198.51.100": 4, "ipv6:2001:db8": 5}
    )
    assert problems == []


def test_of_several_words_the_first_counts_and_the_line_is_named():
    table, problems = parse_relay_domains("a.example b.example # c\n", "rd")
    assert list(table.lines) == ["a.example"]
    assert [str(problem).partition(";")[0] for problem in problems] == [
        'rd:1: "a.example b.example # c" is more than one name'
    ]


def test_what_can_never_match_is_named():
    _, problems = parse_relay_domains("a.example.\n10.0.0.0/8\n10.1.\n", "rd")
    assert [str(problem) for problem in problems] == [
        "rd:1: a.example. never matches; write a.example",
        "rd:2: 10.0.0.0/8 never matches; write 10.1 for 10.1.0.0/16",
    ]


NAMES = st.from_regex(r"[a-z0-9.:\[\]-]{1,20}", fullmatch=True)


@given(st.lists(NAMES, unique=True))
def test_reading_what_was_written_gives_the_same_names(names):
    table = RelayDomains("rd", {name: line for line, name in enumerate(names, start=1)})
    assert parse_relay_domains(format_relay_domains(table), "rd")[0] == table
