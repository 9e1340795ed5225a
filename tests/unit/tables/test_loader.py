"""Tables follow their files; a file that cannot be read is an error, never an empty table."""

import os
from pathlib import Path

import pytest

from relaynode.errors import EX_TEMPFAIL, TableError
from relaynode.tables.loader import Tables


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


def test_missing_files_and_a_missing_folder_are_empty_tables(tmp_path):
    for tables in (Tables(tmp_path), Tables(tmp_path / "none"), Tables(tmp_path / "no" / "ne")):
        assert tables.mailertable.entries == {}
        assert tables.aliases.entries == {}
        assert tables.local_host_names == frozenset()
        assert tables.problems() == []


def test_each_table_is_read_from_its_own_file(tmp_path, tables):
    (tmp_path / "mailertable").write_text("x.example smtp:gw\n")
    (tmp_path / "aliases").write_text("root: alice\n")
    (tmp_path / "local-host-names").write_text("home.example\n")
    assert list(tables.mailertable.entries) == ["x.example"]
    assert tables.aliases.entries["root"].value == "alice"
    assert tables.local_host_names == {"home.example"}


def test_trails_can_name_the_file(tmp_path, tables):
    assert tables.mailertable.file == str(tmp_path / "mailertable")
    assert tables.aliases.file == str(tmp_path / "aliases")


def test_a_changed_file_is_read_again(tmp_path, tables):
    file = tmp_path / "aliases"
    assert tables.aliases.entries == {}
    file.write_text("root: alice\n")
    assert tables.aliases.entries["root"].value == "alice"
    file.write_text("root: bob, carol\n")
    assert tables.aliases.entries["root"].value == "bob, carol"
    file.unlink()
    assert tables.aliases.entries == {}


def test_a_look_holds_for_a_while_if_it_may(tmp_path):
    now = 100.0
    tables = Tables(tmp_path)
    tables.look_every(0.5, lambda: now)
    listed = [str(tmp_path / "names")]
    (tmp_path / "names").write_text("a.example\n")
    assert (tables.local_host_names, tables.listed(listed)) == (frozenset(), {"a.example"})
    (tmp_path / "local-host-names").write_text("home.example\n")
    (tmp_path / "names").unlink()
    now += 0.4
    assert (tables.local_host_names, tables.listed(listed)) == (frozenset(), {"a.example"})
    now += 0.1
    assert tables.local_host_names == {"home.example"}
    for _ in range(2):  # what cannot be read is looked at each time
        with pytest.raises(TableError, match="names: the settings name it"):
            tables.listed(listed)
    (tmp_path / "names").write_text("b.example\n")
    assert tables.listed(listed) == {"b.example"}


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path, tables):
    file = tmp_path / "aliases"
    file.write_text("root: alice\n")
    assert tables.aliases.entries["root"].value == "alice"
    found = file.stat()
    other = tmp_path / "aliases.new"
    other.write_text("root: carol\n")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(file)
    assert tables.aliases.entries["root"].value == "carol"


def test_an_unchanged_file_is_not_parsed_again(tmp_path, tables):
    (tmp_path / "aliases").write_text("root: alice\n")
    assert tables.aliases is tables.aliases


def test_bytes_that_are_not_utf8_do_not_harm_the_rest(tmp_path, tables):
    (tmp_path / "aliases").write_bytes(b"caf\xe9: x\nroot: alice\n")
    assert tables.aliases.entries["root"].value == "alice"


@pytest.mark.parametrize("name", ["mailertable", "aliases", "local-host-names"])
def test_an_unreadable_file_raises_at_every_use_until_it_can_be_read(tmp_path, tables, name):
    use = lambda: getattr(tables, name.replace("-", "_"))  # noqa: E731
    use()
    (tmp_path / name).mkdir()
    for _ in range(3):
        with pytest.raises(TableError, match=f"{name}: cannot be read: Is a directory") as raised:
            use()
        assert raised.value.exit_code == EX_TEMPFAIL
    (tmp_path / name).rmdir()
    use()


def test_a_file_that_became_unreadable_is_not_served_from_memory(tmp_path, tables):
    file = tmp_path / "aliases"
    file.write_text("root: alice\n")
    assert tables.aliases.entries["root"].value == "alice"
    file.rename(tmp_path / "aside")
    file.mkdir()
    with pytest.raises(TableError):
        _ = tables.aliases
    file.rmdir()
    (tmp_path / "aside").rename(file)
    assert tables.aliases.entries["root"].value == "alice"


def test_a_link_that_leads_round_in_a_circle_is_unreadable_and_not_missing(tmp_path, tables):
    (tmp_path / "aliases").symlink_to("aliases")
    with pytest.raises(TableError):
        _ = tables.aliases


def test_all_problems_of_all_tables_are_told_at_once(tmp_path, tables):
    (tmp_path / "local-host-names").write_text("a b\n")
    (tmp_path / "mailertable").write_text("x.example gw\n")
    (tmp_path / "aliases").mkdir()
    assert [str(problem) for problem in tables.problems()] == [
        f'{tmp_path}/local-host-names:1: "a b" is not one name; one name a line',
        f"{tmp_path}/mailertable:1: x.example: gw names no mailer; write smtp:gw",
        f"{tmp_path}/aliases: cannot be read: Is a directory",
    ]
    (tmp_path / "local-host-names").unlink()
    (tmp_path / "mailertable").write_text("x.example smtp:gw\n")
    (tmp_path / "aliases").rmdir()
    assert tables.problems() == []


def test_a_list_of_settings_may_name_files_which_are_read_again_when_changed(tmp_path, tables):
    file = tmp_path / "virtual"
    file.write_text("One.Example\n# a comment\n")
    assert tables.listed(["Two.Example.", str(file)]) == {"one.example", "two.example"}
    file.write_text("three.example\n")
    assert tables.listed([str(file)]) == {"three.example"}


def test_a_file_that_the_settings_name_must_be_there(tmp_path, tables):
    with pytest.raises(TableError, match="none: the settings name it and it is not there"):
        tables.listed([str(tmp_path / "none")])
    (tmp_path / "none").write_text("a.example\n")
    assert tables.listed([str(tmp_path / "none")]) == {"a.example"}


def test_a_file_that_changes_while_it_is_read_is_not_half_a_table(tmp_path, tables, monkeypatch):
    file = tmp_path / "mailertable"
    file.write_text("x.example smtp:gw\n")
    read_bytes = Path.read_bytes

    def read_while_somebody_writes(path):
        content = read_bytes(path)
        file.write_text("x.example smtp:gw\ny.example smtp:gw\n")
        return content

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Path, "read_bytes", read_while_somebody_writes)
        with pytest.raises(TableError, match="mailertable: is being written"):
            _ = tables.mailertable
    assert list(tables.mailertable.entries) == ["x.example", "y.example"]


def test_a_file_of_names_that_cannot_be_read_makes_mail_wait(tmp_path, tables):
    (tmp_path / "folder").mkdir()
    with pytest.raises(TableError):
        tables.listed([str(tmp_path / "folder")])


def test_who_may_send_what_is_read_from_two_files(tmp_path, tables):
    assert dict(tables.access.entries) == dict(tables.relay_domains.lines) == {}
    (tmp_path / "access").write_text("Connect:a.example RELAY\nb.example Nonsense\n")
    (tmp_path / "relay-domains").write_text("c.example d.example\n")
    assert list(tables.access.entries) == ["connect:a.example", "b.example"]
    assert list(tables.relay_domains.lines) == ["c.example"]
    assert [(problem.file, problem.line) for problem in tables.problems()] == [
        (f"{tmp_path}/access", 2),
        (f"{tmp_path}/relay-domains", 1),
    ]


@pytest.mark.parametrize("name", ["access", "relay-domains"])
def test_who_may_send_what_is_never_nobody_because_it_cannot_be_read(tmp_path, tables, name):
    (tmp_path / name).mkdir()
    with pytest.raises(TableError):
        _ = getattr(tables, name.replace("-", "_"))
