"""access: values, keys, what is wrong with an entry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.tables.access import Access, AccessEntry, format_access, parse_access
from relaynode.tables.access_value import Action, Value, format_value, parse_value, spoken


def complaints(text):
    return [str(problem) for problem in parse_access(text, "access")[1]]


def error(code, enhanced, text):
    return Value(Action.ERROR, text, code, enhanced)


@pytest.mark.parametrize("word", ["OK", "RELAY", "REJECT", "DISCARD", "SKIP", "FRIEND", "HATER"])
def test_a_word_decides_in_any_case_and_with_blanks_behind_it(word):
    for written in (word, word.lower(), f"{word}  "):
        value = parse_value(written)
        assert value.action == word
        assert value.text == written.strip()


# What sendmail 8.17 replied for a value, code, enhanced code and text.
REPLIES = [
    ("550 fifteen", (550, "5.0.0", "fifteen")),
    ("550 5.7.1 sixteen", (550, "5.7.1", "sixteen")),
    ("450 later", (450, "4.0.0", "later")),
    ("554 never", (554, "5.0.0", "never")),
    ('"550 eighteen"', (550, "5.0.0", "eighteen")),
    ("ERROR:5.7.1:550 one", (550, "5.7.1", "one")),
    ('ERROR:5.7.1:"550 two"', (550, "5.7.1", "two")),
    ('ERROR:"550 three"', (550, "5.0.0", "three")),
    ("error:550 four", (550, "5.0.0", "four")),
    ('ERROR:"550 5.2.2 five"', (550, "5.2.2", "five")),
    ('ERROR:5.7.1:"550 5.2.2 five"', (550, "5.2.2", "five")),
    ("ERROR: 5.7.1: 550 lead", (550, "5.7.1", "lead")),
    ("ERROR:4.2.2:452 six", (452, "4.2.2", "six")),
    ("ERROR:5.7.1:450 ten", (450, "5.7.1", "ten")),
    ("ERROR:5.7.1:seven no code", (553, "5.3.0", "seven no code")),
    ("ERROR:eight no code", (553, "5.3.0", "eight no code")),
    ("ERROR:nouser 550 x", (553, "5.3.0", "nouser 550 x")),
    ("550", (553, "5.3.0", "550")),
    ("550-foo", (553, "5.3.0", "550-foo")),
    ("Reject me", (553, "5.3.0", "Reject me")),
    ("OK extra", (553, "5.3.0", "OK extra")),
    ("550 We don't", (550, "5.0.0", "We don't")),
    ("550 Go away! Call +1.5 now, or mail (ok)", (550, "5.0.0", "Go away!Call+1.5 now,or mail")),
    ('ERROR:"550 Go away!  Call +1, (ok)"', (550, "5.0.0", "Go away!  Call +1, (ok)")),
    ("550 tab\tin", (550, "5.0.0", "tab in")),
    (r"550 back\slash", (550, "5.0.0", "backslash")),
    ("550 100%% of %1 it", (550, "5.0.0", "100%of it")),
]


@pytest.mark.parametrize(("written", "reply"), REPLIES)
def test_everything_else_is_a_refusal_with_its_reply_as_sendmail_reads_it(written, reply):
    assert parse_value(written) == error(*reply)


def test_a_reply_that_would_say_yes_is_none():
    assert parse_value("250 fine") == error(553, "5.3.0", "250 fine")
    assert parse_value("ERROR:250 fine").code == 553


def test_quarantine_has_a_reason():
    assert parse_value("QUARANTINE:bad stuff") == Value(Action.QUARANTINE, "bad stuff")
    assert parse_value("quarantine: x") == Value(Action.QUARANTINE, "x")
    assert parse_value("QUARANTINE:").action is Action.ERROR


def test_comments_that_nest_and_quotes_left_open_end_nowhere():
    assert spoken("a (b (c) d) e") == "a e"
    assert spoken('550 "a b') == "550a b"
    assert spoken("a ) b") == "a b"


@given(st.text(max_size=60))
def test_every_text_has_a_meaning_that_survives_being_written(text):
    value = parse_value(text)
    assert parse_value(format_value(value)) == value
    assert value.action is not Action.ERROR or 400 <= value.code < 600


KEYS = st.from_regex(r"((connect|from|to|spam):)?[a-z0-9][a-z0-9.@+-]{0,20}", fullmatch=True)
WRITABLE = st.text(
    st.characters(exclude_characters="\n\r", exclude_categories=["Cs", "Cc"]), min_size=1
).filter(lambda text: text.strip(" \t"))


@given(st.lists(st.tuples(KEYS, WRITABLE), unique_by=lambda pair: pair[0], max_size=8))
def test_reading_a_table_that_was_written_gives_the_same_table(pairs):
    entries = {
        key: AccessEntry(key, parse_value(text), line)
        for line, (key, text) in enumerate(pairs, start=1)
    }
    table = Access("access", entries)
    assert parse_access(format_access(table), "access")[0] == table


@given(st.text(max_size=200))
def test_no_text_raises_anything(text):
    table, problems = parse_access(text, "access")
    assert all(problem.file == "access" and problem.line for problem in problems)
    assert all(entry.key == key for key, entry in table.entries.items())


def test_keys_are_in_lower_case_with_their_tag_and_know_their_line():
    table, problems = parse_access("# x\nConnect:Example.ORG\tReject\n128.32 RELAY\n", "access")
    assert problems == []
    assert table.entries["connect:example.org"].line == 2
    assert table.entries["connect:example.org"].value.action is Action.REJECT
    assert table.entries["128.32"].value.action is Action.RELAY


def test_a_wrong_line_is_reported_and_the_others_work():
    text = " a.example OK\nb.example\nc.example OK\nc.example REJECT\nd.example RELAY\n"
    table, problems = parse_access(text, "access")
    assert list(table.entries) == ["c.example", "d.example"]
    assert table.entries["c.example"].value.action is Action.OK
    assert [problem.line for problem in problems] == [1, 2, 4]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("a.example Rejected", "a.example: Rejected is no word of an access table"),
        ("a.example 250 fine", "a.example: 250 fine is no word of an access table, and no reply"),
        ("a.example ERROR:", "a.example: ERROR: has no text behind its colon"),
        ("a.example QUARANTINE:", "a.example: QUARANTINE: has no text behind its colon"),
        ("a.example FRIEND", "a.example: FRIEND is for Spam: alone"),
        ("Spam:a.example OK", "spam:a.example: OK is no word for Spam:; write FRIEND or HATER"),
        ("Form:a.example OK", "form:a.example: nothing asks for form:"),
        ("10.0.0.0/8 RELAY", "10.0.0.0/8 never matches, a network is written by its first"),
        ("@a.example OK", "@a.example never matches, a domain has no @ here; write a.example"),
        ("To:*.example OK", "to:*.example never matches, a domain stands for all below it"),
    ],
)
def test_what_means_nothing_or_never_matches_is_named_with_its_line(line, complaint):
    (said,) = complaints(f"# first\n{line}\n")
    assert said.startswith(f"access:2: {complaint}")


def test_a_value_that_means_nothing_refuses_all_the_same():
    table, problems = parse_access("a.example Rejected\n", "access")
    assert len(problems) == 1
    assert table.entries["a.example"].value == error(553, "5.3.0", "Rejected")


def test_what_is_right_raises_no_complaint():
    text = "".join(
        f"{key}\t{value}\n"
        for key, value in [
            ("Connect:IPv6:2001:db8", "RELAY"),
            ("IPv6:2001:db8:1", "REJECT"),
            ("From:user@", "ERROR:5.7.1:550 no"),
            ("user+*@a.example", "DISCARD"),
            ("Spam:abuse@", "FRIEND"),
            ("To:[192.0.2.7]", "SKIP"),
            ("a.example", "550 no"),
        ]
    )
    assert complaints(text) == []


def test_secrets_of_other_tags_are_not_kept_nor_shown():
    table, problems = parse_access('AuthInfo:h.example "U:joe" "P:hidden"\nTLS_Srv:x VERIFY\n', "a")
    assert table.entries == {}
    assert problems == []
