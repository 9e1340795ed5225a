"""aliases: the grammar, what is wrong with a line in the words of newaliases, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.tables.aliases import format_aliases, is_warning, parse_aliases


def ours(domain):
    return domain == "bsd.home"


def values(text):
    found, problems = parse_aliases(text, "aliases")
    assert problems == []
    return {name: entry.value for name, entry in found.entries.items()}


def complaints(text):
    return [str(problem) for problem in parse_aliases(text, "/etc/mail/aliases", ours)[1]]


def test_a_line_gives_a_name_its_value():
    assert values("root: alice\nstaff: alice, bob@example.com ,carol\n") == {
        "root": "alice",
        "staff": "alice, bob@example.com ,carol",
    }


def test_an_entry_knows_its_first_line_and_what_was_written():
    entry = parse_aliases("# one\nlist: a,\n  b\n", "aliases")[0].entries["list"]
    assert (entry.key, entry.value, entry.line) == ("list", "a,  b", 2)


def test_names_are_folded_to_lower_case_and_values_are_not():
    assert values("MAILER-DAEMON: PostMaster") == {"mailer-daemon": "PostMaster"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("l: a,\n  b,\n\tc", "a,  b,\tc"),
        ("l:\n a, b", "a, b"),
        ("l: a, \\\nb", "a, b"),
        ("l: a,\n  # b", "a,  # b"),
        ("l: a\n   \nm: b".partition("\nm")[0], "a   "),
    ],
)
def test_a_line_that_begins_with_white_space_goes_on_with_the_line_before(text, value):
    assert values(text) == {"l": value}


def test_lines_indented_below_a_comment_belong_to_it():
    assert values("a: b\n# old: x,\n   y\nc: d\n") == {"a": "b", "c": "d"}


@pytest.mark.parametrize(("text", "line"), [("  a: b\nc: d\n", 1), ("c: d\n\n  a\n  b\n", 4)])
def test_nothing_goes_on_across_an_empty_line_or_at_the_start(text, line):
    found, _ = parse_aliases(text, "aliases")
    assert list(found.entries) == ["c"]
    assert complaints(text) == [
        f"/etc/mail/aliases:{line}: Non-continuation line starts with space; "
        "begin the name in the first column"
    ]


def test_a_comment_begins_in_the_first_column_only():
    assert values("#a: b\nc: d #e\n") == {"c": "d #e"}


def test_windows_line_ends_do_not_matter():
    assert values("a: b,\r\n  c\r\n\r\nd: e\r\n") == {"a": "b,  c", "d": "e"}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('"quo ted": x', '"quo ted"'),
        ('"plain": x', "plain"),
        ('"with:colon" : x', "with:colon"),
        ("spaced name: x", "spaced.name"),
        ("dots.in.name : x", "dots.in.name"),
        ("<bracketed>: x", "bracketed"),
        ("(Mr) joe (of here): x", "joe"),
        ("Joe User <joe>: x", "joe"),
        ("plus+*: x", "plus+*"),
        ("owner-list: x", "owner-list"),
        ("back\\slash: x", "back\\slash"),
        ("[1.2]: x", "[1.2]"),
    ],
)
def test_a_name_is_written_in_any_form_that_an_address_may_have(line, name):
    assert values(line) == {name: "x"}


def test_of_two_entries_for_one_name_the_last_counts_with_a_warning():
    text = "root: alice\nroot: bob\nRoot: carol\nother: dave\n"
    found, problems = parse_aliases(text, "/etc/mail/aliases")
    assert {name: entry.value for name, entry in found.entries.items()} == {
        "root": "carol",
        "other": "dave",
    }
    assert [str(problem) for problem in problems] == [
        "/etc/mail/aliases:2: root... Warning: duplicate alias name root;"
        " the last one counts, not that in line 1",
        "/etc/mail/aliases:3: Root... Warning: duplicate alias name root;"
        " the last one counts, not that in line 2",
    ]
    assert all(map(is_warning, problems))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("root alice", "missing colon; write name: address"),
        ('"root: alice', "missing colon; write name: address"),
        (": alice", ": alice... illegal alias name; write name: address"),
        ("<>: alice", "<>: alice... illegal alias name; write name: address"),
        (
            "a@example.com: alice",
            "a@example.com... cannot alias non-local names; only names at this host have aliases",
        ),
        ("empty:  ", "empty:  ... missing value for alias; name an address behind the colon"),
    ],
)
def test_a_wrong_line_is_left_out_and_named_with_a_remedy(line, complaint):
    text = f"good: x\n{line}\nlast: y\n"
    found, problems = parse_aliases(text, "/etc/mail/aliases", ours)
    assert list(found.entries) == ["good", "last"]
    assert complaints(text) == [f"/etc/mail/aliases:2: {complaint}"]
    assert not any(map(is_warning, problems))


@pytest.mark.parametrize(
    "name", ["h!u", "u%h", "|prog", "/file", '"a@b"', "u%h@bsd.home", '"|x"', "a,b"]
)
def test_a_name_that_leads_elsewhere_has_no_alias(name):
    found, problems = parse_aliases(f"{name}: x\n", "aliases", ours)
    assert found.entries == {}
    assert problems[0].text == f"{name}... cannot alias non-local names"


def test_a_complaint_is_about_the_last_line_of_an_entry_as_newaliases_has_it():
    assert complaints("no colon here\n  and more\n")[0].startswith("/etc/mail/aliases:2: ")


def test_a_name_at_one_of_our_domains_is_a_name():
    found, problems = parse_aliases("joe@BSD.home: x\n", "aliases", ours)
    assert problems == []
    assert found.entries["joe"].value == "x"


def test_domains_may_be_judged_when_a_name_is_looked_up():
    found, problems = parse_aliases("joe: first\njoe@bsd.home: second\njoe@other: x\n", "aliases")
    assert problems == []
    assert found.find("JOE", ours).value == "second"
    assert found.find("joe", lambda domain: False).value == "first"
    assert found.find("nobody", ours) is None


def test_entries_and_bytes_are_counted_as_newaliases_does():
    text = "root: localuser\nftp-bugs: joe,eric,paul\nr: é\nroot: x\nbad\n"
    tally = parse_aliases(text, "aliases")[0].tally
    assert (tally.entries, tally.longest_bytes, tally.total_bytes) == (4, 13, 13 + 21 + 3 + 5)


_NAMES = st.text('abcXYZ019.+*-_ :@!%<>()[]|/,;"\\éß', min_size=1, max_size=12)
_VALUES = st.text(st.characters(exclude_characters="\n\r"), min_size=1, max_size=30)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=8))
def test_what_was_parsed_is_the_same_when_it_was_written_and_parsed_again(entries):
    text = "".join(f"{name}: {value}\n" for name, value in entries)
    once, _ = parse_aliases(text, "aliases")
    again, problems = parse_aliases(format_aliases(once), "aliases")
    assert problems == []
    assert values_of(again) == values_of(once)


def values_of(aliases):
    plain = {name: entry.value for name, entry in aliases.entries.items()}
    qualified = {name: [e.value for _, e in found] for name, found in aliases.qualified.items()}
    return plain, qualified


@given(st.text())
def test_no_text_raises_anything(text):
    parse_aliases(text, "aliases", ours)
