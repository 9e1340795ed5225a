"""A table that is written and read again is the same table."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.tables.genericstable import Genericstable, parse_genericstable
from relaynode.tables.keyed import Entry, format_keyed
from relaynode.tables.mailertable import Mailertable, parse_mailertable
from relaynode.tables.names import format_names, parse_names
from relaynode.tables.virtusertable import Virtusertable, parse_virtusertable

TABLES = {
    "mailertable": (Mailertable, parse_mailertable),
    "virtusertable": (Virtusertable, parse_virtusertable),
    "genericstable": (Genericstable, parse_genericstable),
}

NOT_IN_LINES = st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])
KEYS = (
    st.text(st.characters(exclude_characters=" \t\r\n", exclude_categories=["Cs"]), min_size=1)
    .map(str.lower)
    .filter(lambda key: not key.startswith("#") and key == key.lower())
)
VALUES = st.text(NOT_IN_LINES, min_size=1).filter(lambda value: value[0] not in " \t")


@pytest.mark.parametrize("name", TABLES)
@given(pairs=st.dictionaries(KEYS, VALUES, max_size=8))
def test_a_keyed_table_survives(name, pairs):
    kind, parse = TABLES[name]
    entries = {
        key: Entry(key, value, line) for line, (key, value) in enumerate(pairs.items(), start=1)
    }
    written = format_keyed(entries.values())
    again, _ = parse(written, name)
    assert isinstance(again.entries, Mapping)
    assert again == kind(name, entries)
    assert format_keyed(again.entries.values()) == written


@given(st.frozensets(st.from_regex(r"[a-z0-9\[][a-z0-9.:\]-]{0,20}[a-z0-9\]]", fullmatch=True)))
def test_a_list_of_names_survives(names):
    assert parse_names(format_names(names), "local-host-names") == (names, [])
