"""aliases: the grammar, and what is wrong with a line."""

import pytest

from relaynode.tables.aliases import parse_aliases, split_values


def values(text):
    found, problems = parse_aliases(text, "aliases")
    assert problems == []
    return found.values


def complaints(text):
    return [str(problem) for problem in parse_aliases(text, "/etc/mail/aliases")[1]]


def test_a_line_gives_a_name_its_values():
    assert values("root: alice\nstaff: alice, bob@example.com ,carol\n") == {
        "root": ("alice",),
        "staff": ("alice", "bob@example.com", "carol"),
    }


def test_an_entry_knows_its_line_and_what_was_written():
    entry = parse_aliases("# one\nlist: a,\n  b\n", "aliases")[0].entries["list"]
    assert (entry.key, entry.value, entry.line) == ("list", "a, b", 2)


def test_names_are_folded_to_lower_case_and_values_are_not():
    assert values("MAILER-DAEMON: PostMaster") == {"mailer-daemon": ("PostMaster",)}


@pytest.mark.parametrize(
    "text", ["l: a,\n  b,\n\tc", "l: a\n , b\n ,c", "l:\n a, b, c", "l: a,b,\n c"]
)
def test_a_line_that_begins_with_white_space_goes_on_with_the_line_before(text):
    assert values(text) == {"l": ("a", "b", "c")}


@pytest.mark.parametrize("between", ["# old: x,\n", "\n", "  \n"])
def test_nothing_goes_on_across_a_comment_or_an_empty_line(between):
    text = f"l: a,\n{between}   stranger\nm: b\n"
    found, _ = parse_aliases(text, "aliases")
    assert found.values == {"l": ("a",), "m": ("b",)}
    assert complaints(text) == [
        "/etc/mail/aliases:3: a continuation line without a line before it; "
        "begin the name in the first column"
    ]


def test_the_first_line_cannot_be_a_continuation():
    found, problems = parse_aliases("  a: b\nc: d\n", "aliases")
    assert found.values == {"c": ("d",)}
    assert [problem.line for problem in problems] == [1]


def test_a_comment_begins_in_the_first_column_only():
    assert values("#a: b\nc: d #e\n") == {"c": ("d #e",)}


def test_windows_line_ends_do_not_matter():
    assert values("a: b,\r\n  c\r\n\r\nd: e\r\n") == {"a": ("b", "c"), "d": ("e",)}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('"quo ted": x', "quo ted"),
        ('"with:colon" : x', "with:colon"),
        ("spaced name: x", "spaced.name"),
        ("dots.in.name : x", "dots.in.name"),
        ("<bracketed>: x", "bracketed"),
        ("plus+*: x", "plus+*"),
        ("owner-list: x", "owner-list"),
    ],
)
def test_a_name_may_be_quoted_and_blanks_in_it_become_dots(line, name):
    assert values(line) == {name: ("x",)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice, bob", ["alice", "bob"]),
        ("alice,,bob,", ["alice", "bob"]),
        (" , ", []),
        ('"alice", bob', ["alice", "bob"]),
        ('"a, b"@example.com, c', ['"a, b"@example.com', "c"]),
        ('"quo ted"', ['"quo ted"']),
        ('"joe@home"', ['"joe@home"']),
        ("alice (Alice A), Bob B <bob>", ["alice", "bob"]),
        ('"Q, R" <carol@example.com>, d', ["carol@example.com", "d"]),
        ("(a, b) carol", ["carol"]),
        ("<alice>", ["alice"]),
        ("|/bin/cat, d", ["|/bin/cat", "d"]),
        ("|/bin/cat (x), d", ["|/bin/cat (x)", "d"]),
        ('"|/bin/cat -u, x", d', ["|/bin/cat -u, x", "d"]),
        ('"|filter -f user@example.com"', ["|filter -f user@example.com"]),
        (r'"|sh -c \"a, b\"", c', ['|sh -c "a, b"', "c"]),
        ('"/var/tmp/x y"', ["/var/tmp/x y"]),
        ('":include:/a b"', [":include:/a b"]),
        (r"\alice, bob", [r"\alice", "bob"]),
        ("alice # later", ["alice # later"]),
        ("alice;bob", ["alice;bob"]),
        ('"unbalanced, bob', ['"unbalanced, bob']),
    ],
)
def test_values_are_parted_at_commas_and_freed_of_what_is_no_address(text, expected):
    assert split_values(text) == expected


def test_of_two_entries_for_one_name_the_last_counts_with_a_warning():
    text = "root: alice\nroot: bob\nRoot: carol\nother: dave\n"
    found, _ = parse_aliases(text, "aliases")
    assert found.values == {"root": ("carol",), "other": ("dave",)}
    assert complaints(text) == [
        "/etc/mail/aliases:2: root stands in line 1 too; the last one counts",
        "/etc/mail/aliases:3: root stands in line 2 too; the last one counts",
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("root alice", "missing colon; write name: address"),
        ('"root: alice', "missing colon; write name: address"),
        ('"root" alice', "missing colon; write name: address"),
        (": alice", "no name before the colon; only local names have aliases"),
        ("a@example.com: alice", "cannot alias a@example.com; only local names have aliases"),
        ("empty:", "empty: missing value; name an address"),
        ("commas: , ,", "commas: missing value; name an address"),
    ],
)
def test_a_wrong_line_is_left_out_and_named_with_a_remedy(line, complaint):
    found, _ = parse_aliases(f"good: x\n{line}\nlast: y\n", "aliases")
    assert found.values == {"good": ("x",), "last": ("y",)}
    assert complaints(f"good: x\n{line}\n") == [f"/etc/mail/aliases:2: {complaint}"]
