"""The m4 of an .mc: what is a call, what is text, and what is nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.config.mc_reader import Broken, Call, Text, read_mc


def calls(text):
    return [(item.name, *item.arguments) for item in read_mc(text) if isinstance(item, Call)]


def texts(text):
    return [(item.line, item.text) for item in read_mc(text) if isinstance(item, Text)]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("FEATURE(`mailertable')", ("mailertable",)),
        ("FEATURE(mailertable)", ("mailertable",)),
        ("FEATURE( `a b',\n  `c')", ("a b", "c")),
        ("FEATURE(`a', , `c')", ("a", "", "c")),
        ("FEATURE(`a,b', c(d,e)f)", ("a,b", "c(d,e)f")),
        ("FEATURE(``a'')", ("a",)),
        ("FEATURE(`hash -o MAIL_SETTINGS_DIR`'access')", ("hash -o /etc/mail/access",)),
        ("FEATURE(MAIL_SETTINGS_DIR`access')", ("/etc/mail/access",)),
        ("FEATURE(`a',dnl remark, with ) in it\n`b')", ("a", "b")),
        ("FEATURE()", ("",)),
    ],
)
def test_arguments_come_without_quotes_and_with_names_put_in(text, arguments):
    assert calls(text) == [("FEATURE", *arguments)]


def test_a_name_that_the_file_defines_is_put_in_where_it_stands():
    text = "define(`HOST', `gw.example')\nMASQUERADE_AS(HOST)\nEXPOSED_USER(`x HOST')\nCw HOST y\n"
    assert calls(text)[1:] == [("MASQUERADE_AS", "gw.example"), ("EXPOSED_USER", "x gw.example")]
    assert texts(text) == [(4, "Cw gw.example y")]


def test_an_undefined_name_is_a_word_again():
    text = "define(`HOST', `gw')\nundefine(`HOST')\nMASQUERADE_AS(HOST)\n"
    assert calls(text)[-1] == ("MASQUERADE_AS", "HOST")


def test_a_definition_that_names_itself_ends():
    assert calls("define(`A', `A A')\nFEATURE(A)\n")[0] == ("define", "A", "A A")


def test_a_define_of_one_argument_is_there():
    assert calls("define(`confX')") == [("define", "confX")]


def test_dnl_hides_the_rest_of_its_line_only():
    text = "dnl FEATURE(`a')\nFEATURE(`b')dnl FEATURE(`c')\nFEATURE(`d')\n"
    assert calls(text) == [("FEATURE", "b"), ("FEATURE", "d")]


def test_dnl_takes_the_line_end_with_it_as_in_m4():
    assert texts("Cw a dnl x\nCw b\n") == [(1, "Cw a Cw b")]


def test_a_word_that_begins_with_dnl_is_none():
    assert texts("dnlCw a\n") == [(1, "dnlCw a")]


def test_a_hash_hides_nothing_from_m4():
    """As cfhead.m4 turns m4's comments off; seen with sendmail 8.17."""
    found = read_mc("# FEATURE(`a')\nFEATURE(`b')\n")
    assert [item.is_commented for item in found if isinstance(item, Call)] == [True, False]


def test_text_that_is_diverted_away_is_gone_and_its_calls_are_not():
    text = "divert(-1)\nit's a note (see there)\nFEATURE(`a')\ndivert(0)dnl\nCw b\n"
    assert texts(text) == [(5, "Cw b")]
    assert ("FEATURE", "a") in calls(text)


def test_a_section_begins_without_arguments_and_shows_its_text():
    text = "divert(-1)\nLOCAL_CONFIG\nCE x\nLOCAL_RULE_0\nR$*\t$@ x\n"
    assert texts(text) == [(3, "CE x"), (5, "R$*\t$@ x")]
    assert calls(text)[1:] == [("LOCAL_CONFIG",), ("LOCAL_RULE_0",)]


def test_lines_are_counted_in_calls_and_texts():
    found = read_mc("\nFEATURE(`a',\n`b')\n\nCw x\n`Cw y\nCw z'\n")
    assert [(type(item).__name__, item.line) for item in found] == [
        ("Call", 2), ("Text", 5), ("Text", 6), ("Text", 7)
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), [("Cw a\n`Cw b\n", 2), ("FEATURE(`a',\nb\n", 1)])
def test_what_is_never_closed_is_told_with_its_line(text, line):
    (broken,) = (item for item in read_mc(text) if isinstance(item, Broken))
    assert (broken.line, broken.text) == (line, "this quote or parenthesis is never closed")


@pytest.mark.parametrize(
    "text",
    ["define(`A', ifdef(`B', `c', `d'))", "FEATURE(`a', `ifelse(x, y)')", "MASQUERADE_AS(FOO(x))"],
)
def test_a_call_inside_of_arguments_is_not_guessed(text):
    (broken,) = read_mc(text)
    assert isinstance(broken, Broken)
    assert "not worked out" in broken.text


def test_conditionals_come_as_they_are():
    found = calls("ifdef(`A', `FEATURE(`b')')\nVERSIONID(`see FEATURE(x)')\n")
    assert found == [("ifdef", "A", "FEATURE(`b')"), ("VERSIONID", "see FEATURE(x)")]


def test_files_with_carriage_returns_are_read():
    assert texts("Cw a\r\nCw b\r\n") == [(1, "Cw a"), (2, "Cw b")]


@given(st.text(alphabet="`'(),\n #ab$dnl FEATURE define", max_size=200))
def test_no_text_raises(text):
    assert isinstance(read_mc(text), list)
