"""Where keys were written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.config.toml_lines import key_lines, line_of

TEXT = """\
# a comment
top = 1

[node]   # ours
hostname = "x"
  indented = 2
"quoted key" = 3
'single' = 4

[link.isp]
kind = "event"
[ account . "a.b" ]
host.name = "y"
list = [
  "one",
]
[[array]]
inside = 5
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("node",), 4),
        (("node", "hostname"), 5),
        (("node", "indented"), 6),
        (("node", "quoted key"), 7),
        (("node", "single"), 8),
        (("link", "isp"), 10),
        (("link", "isp", "kind"), 11),
        (("account", "a.b"), 12),
        (("account", "a.b", "host", "name"), 13),
        (("account", "a.b", "list"), 14),
        (("array",), 17),
        (("array", "inside"), 18),
    ],
)
def test_tables_and_keys_are_found_where_they_stand(path, line):
    assert line_of(key_lines(TEXT), path) == line


def test_what_has_no_line_has_that_of_the_nearest_thing_around_it():
    lines = key_lines(TEXT)
    assert line_of(lines, ("node", "missing")) == 4
    assert line_of(lines, ("node", "hostname", "deeper")) == 5
    assert line_of(lines, ("link", "isp", "none", "none")) == 10
    assert line_of(lines, ("nothing",)) is None
    assert line_of({}, ("node",)) is None


def test_the_first_place_counts():
    assert key_lines("a = 1\n[t]\n[u]\na = 2\n[t]\n")[("t",)] == 2


def test_only_line_feeds_end_lines():
    assert key_lines('# a\x0b\x0c\x1c\u2028\x85\r\nkey = "x"\r\n')[("key",)] == 2


def test_a_line_that_is_almost_a_key_takes_no_long_time():
    assert key_lines("x" + ".x" * 20_000) == {}
    assert key_lines("x" + " ." * 20_000) == {}


@given(st.text(alphabet="ab.=[]\"'# \n\t", max_size=60))
def test_any_text_is_read_and_every_line_of_toml_is_in_range(text):
    lines = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    for key, value in top.items():
        if not isinstance(value, dict | list):
            assert line_of(lines, (key,)) is not None
