"""Lists of addresses, in one value and in files."""

import pytest

from relaynode.tables.addresslist import ListLine, lines_of, name_end, split_list


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("alice, bob", ["alice", "bob"]),
        ("alice,,bob,", ["alice", "bob"]),
        (" , ", []),
        ("", []),
        ("  alice , bob", ["alice ", "bob"]),
        ('"a, b"@example.com, c', ['"a, b"@example.com', "c"]),
        ('"Q, R" <carol@example.com>, d', ['"Q, R" <carol@example.com>', "d"]),
        ("(a, b) carol", ["(a, b) carol"]),
        ("((a), b) carol, d", ["((a), b) carol", "d"]),
        ("<@a,@b:c@d>, e", ["<@a,@b:c@d>", "e"]),
        ('"|/bin/cat -u, x", d', ['"|/bin/cat -u, x"', "d"]),
        (r'"|sh -c \"a, b\"", c', [r'"|sh -c \"a, b\""', "c"]),
        (r"al\,ice, bob", [r"al\,ice", "bob"]),
        ('"unbalanced, bob', ['"unbalanced, bob']),
        ("alice), bob", ["alice)", "bob"]),
        ("alice>, bob", ["alice>", "bob"]),
        ("alice;bob", ["alice;bob"]),
        ("ends\\", ["ends\\"]),
    ],
)
def test_members_are_parted_at_commas_that_nothing_protects(text, members):
    assert split_list(text) == members


def test_an_old_fashioned_list_is_parted_at_blanks():
    assert split_list('alice bob  "a b"', " ") == ["alice", "bob", '"a b"']


def test_a_file_is_lines_without_comments_and_empty_ones():
    text = "# off\nbob, carol\r\n\n  dave # no comment\njoe #@# one\n#@# all\nlast"
    assert lines_of(text) == [
        ListLine(2, "bob, carol"),
        ListLine(4, "  dave # no comment"),
        ListLine(5, "joe"),
        ListLine(7, "last"),
    ]


@pytest.mark.parametrize(
    ("line", "end"),
    [("a: b", 1), ('"a:b": c', 5), ("(x:y) a: b", 7), ("a b", None), ('"a: b', None), (": x", 0)],
)
def test_a_name_ends_at_the_first_colon_that_nothing_protects(line, end):
    assert name_end(line) == end
