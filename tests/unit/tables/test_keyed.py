"""The grammar of keyed tables, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.tables.keyed import Entry, parse_keyed


def entries(text):
    found, problems = parse_keyed(text, "table")
    assert problems == []
    return {key: entry.value for key, entry in found.items()}


def complaints(text):
    return [str(problem) for problem in parse_keyed(text, "/etc/mail/table")[1]]


def test_a_key_ends_at_the_first_blank_or_tab_and_the_rest_is_the_value():
    assert entries("a.example\tsmtp:x y\nb  z\n") == {"a.example": "smtp:x y", "b": "z"}
    assert entries('"a b" x') == {'"a': 'b" x'}


def test_keys_are_folded_to_lower_case_and_values_are_not():
    assert entries("UPPER.Example Value") == {"upper.example": "Value"}


def test_an_entry_knows_its_line():
    found, _ = parse_keyed("# one\n\nkey value", "table")
    assert found["key"] == Entry("key", "value", 3)


def test_a_comment_begins_in_the_first_column_only():
    assert entries("# a b\n#c d\na b # c\n") == {"a": "b # c"}


def test_blanks_at_the_end_belong_to_the_value():
    assert entries("a b \t") == {"a": "b \t"}


def test_empty_lines_and_a_missing_last_line_end_do_not_matter():
    assert entries("\n\na b\n\nc d") == {"a": "b", "c": "d"}
    assert entries("") == {}


def test_windows_line_ends_are_no_part_of_the_value():
    assert entries("a b\r\n\r\nc d\r\n") == {"a": "b", "c": "d"}


@pytest.mark.parametrize("line", [" a b", "\ta b", "  ", "\t"])
def test_a_line_that_begins_with_white_space_is_wrong(line):
    assert complaints(f"k v\n{line}\n") == [
        "/etc/mail/table:2: leading space; a key begins in the first column"
    ]


@pytest.mark.parametrize("line", ["key", "key ", "key \t"])
def test_a_key_without_a_value_is_wrong(line):
    assert complaints(line) == [
        "/etc/mail/table:1: no value for key; write the value behind a blank or tab"
    ]


def test_of_two_entries_for_one_key_the_first_counts_and_the_second_is_named():
    found, _ = parse_keyed("a 1\nb 2\nA 3\na 4\n", "table")
    assert found["a"].value == "1"
    assert complaints("a 1\nb 2\nA 3\na 4\n") == [
        "/etc/mail/table:3: A stands in line 1 already; the first one counts",
        "/etc/mail/table:4: a stands in line 1 already; the first one counts",
    ]


def test_a_wrong_line_does_not_harm_the_others():
    found, problems = parse_keyed("a 1\n b 2\nc\nd 4\n", "table")
    assert list(found) == ["a", "d"]
    assert [problem.line for problem in problems] == [2, 3]


@pytest.mark.parametrize("key", ["x\x0by", "x\u00a0y", "x\udcffy", "\x0b"])
def test_only_blank_and_tab_are_white_space(key):
    assert entries(f"{key} v") == {key: "v"}


@given(st.text(alphabet="ab# \t\r\n:\u2028\x0c", max_size=40))
def test_every_line_is_an_entry_a_comment_empty_or_complained_about(text):
    found, problems = parse_keyed(text, "table")
    lines = text.split("\n")
    told = {entry.line for entry in found.values()} | {problem.line for problem in problems}
    for number, line in enumerate(lines, start=1):
        is_nothing = line in ("", "\r") or line.startswith("#")
        assert (number in told) is not is_nothing
