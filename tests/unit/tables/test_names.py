"""local-host-names: a name a line."""

import pytest

from relaynode.tables.names import parse_names


def test_each_line_is_a_name_in_any_case_with_or_without_a_last_dot():
    names, problems = parse_names("Gate.Example.ORG\nvirt.example.\n  indented.example  \n", "f")
    assert names == {"gate.example.org", "virt.example", "indented.example"}
    assert problems == []


def test_comments_empty_lines_and_windows_line_ends_are_passed_over():
    names, problems = parse_names("# a comment\n\n  # another\r\nhome.example\r\n\r\n", "f")
    assert (names, problems) == ({"home.example"}, [])


@pytest.mark.parametrize("line", ["two names.example", "home.example # ours"])
def test_a_line_with_more_than_one_word_is_left_out_and_named(line):
    names, problems = parse_names(f"good.example\n{line}\n", "/etc/mail/local-host-names")
    assert names == {"good.example"}
    assert [str(problem) for problem in problems] == [
        f'/etc/mail/local-host-names:2: "{line}" is not one name; one name a line'
    ]
