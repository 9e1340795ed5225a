"""The grammar of Taylor's files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.config.taylor_reader import boolean, lines_of, number


def words(text):
    return [(line.number, *line.words) for line in lines_of(text)]


def test_lines_are_words_and_empty_ones_say_nothing():
    assert words("\n  system horus\r\n\n\ttime\tany   5\n") == [
        (2, "system", "horus"),
        (4, "time", "any", "5"),
    ]


def test_remarks_begin_anywhere_but_behind_a_backslash():
    assert words("# all\nphone 01\\#23 # remark\nchat a\\\\#b x#y\n") == [
        (2, "phone", "01#23"),
        (3, "chat", "a\\#b", "x"),
    ]


def test_a_backslash_at_the_end_joins_the_next_line_with_nothing_between():
    assert words("port ser\\\nvice\\\n  uucp\nnext\n") == [
        (1, "port", "service", "uucp"),
        (4, "next"),
    ]


def test_a_remark_with_a_backslash_at_its_end_swallows_the_next_line():
    """Seen with Taylor's own uuchk."""
    assert words("time Sa # x \\\ntime Su\nphone 1\n") == [(1, "time", "Sa"), (3, "phone", "1")]


def test_a_backslash_at_the_end_of_the_file_is_a_backslash():
    assert words("a b\\") == [(1, "a", "b\\")]


def test_keywords_do_not_mind_case():
    (line,) = lines_of("SyStem Horus")
    assert (line.keyword, line.arguments) == ("system", ("Horus",))


def test_only_the_keyword_is_shown_as_the_rest_may_be_a_password():
    (line,) = lines_of("call-password sesame")
    assert "sesame" not in repr(line)


@pytest.mark.parametrize("word", ["y", "Yes", "true", "T", "yack"])
def test_true_begins_with_y_or_t(word):
    assert boolean(word) is True


@pytest.mark.parametrize("word", ["n", "No", "false", "F"])
def test_false_begins_with_n_or_f(word):
    assert boolean(word) is False


@pytest.mark.parametrize("word", ["", "1", "maybe", "on"])
def test_anything_else_is_neither(word):
    with pytest.raises(ValueError):
        boolean(word)


@pytest.mark.parametrize("word", ["", "x", "0x10", "10k", "-1", "1" * 30, "१"])
def test_numbers_are_decimal_and_not_negative(word):
    with pytest.raises(ValueError):
        number(word)


@given(st.text(alphabet="ab #\\\n\r\t", max_size=60))
def test_every_text_can_be_read(text):
    for line in lines_of(text):
        assert line.words
        assert all(word and not word.isspace() for word in line.words)
