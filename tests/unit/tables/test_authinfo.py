"""AuthInfo entries: their grammar, which one is found, and that no problem shows a secret."""

import base64

import pytest

from relaynode.errors import TableError
from relaynode.tables.authinfo import (
    AuthInfo,
    parse_access_authinfo,
    parse_authinfo,
    parse_default_auth_info,
)
from relaynode.tables.loader import Tables

SECRET = base64.b64encode(b"sesame").decode()


def entries(text):
    table, problems = parse_authinfo(text, "authinfo")
    assert problems == []
    return table.entries


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        ('"U:ann" "P:sesame"', AuthInfo("ann", "sesame")),
        ('"I:ann" "P:sesame"', AuthInfo("ann", "sesame")),
        ('"U:ann" "I:ann" "P:sesame"', AuthInfo("ann", "sesame")),
        (
            '"U:root" "I:ann" "P:sesame" "R:r.example"',
            AuthInfo("ann", "sesame", "root", "r.example"),
        ),
        (f'"I:ann" "P={SECRET}"', AuthInfo("ann", "sesame")),
        ('"I=YW5u"  "P:a b:c=d"', AuthInfo("ann", "a b:c=d")),
        (
            '"I:ann" "P:x" "M:digest-md5 CRAM-MD5"',
            AuthInfo("ann", "x", mechanisms=("DIGEST-MD5", "CRAM-MD5")),
        ),
        ('"I:ann""P:x"', AuthInfo("ann", "x")),
    ],
)
def test_a_value_is_a_list_of_items(value, entry):
    (found,) = entries(f"AuthInfo:mx.example\t{value}\n").values()
    assert found == AuthInfo(
        entry.authid, entry.password, entry.userid, entry.realm, entry.mechanisms, line=1
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("sesame", "not a list of items in quotes"),
        ("U:ann P:sesame", "not a list of items in quotes"),
        ('"I:ann" "P:sesame', "not a list of items in quotes"),
        ('"I:ann" sesame', "not a list"),
        ('"P:sesame"', "lacks U: or I:, the name"),
        ('"U:" "P:sesame"', "lacks U: or I:, the name"),
        ('"I:ann"', "lacks P:, the password"),
        ('"I:ann" "P:sesame" "X:sesame"', "X is unknown"),
        ('"I:ann" "P:sesame" "P:sesame"', "P twice"),
        ('"I:ann" "P=sesame!"', "= wants base64"),
        ('"I:ann" "P=/w=="', "= wants base64"),
    ],
)
@pytest.mark.parametrize("parse", [parse_authinfo, parse_access_authinfo])
def test_a_wrong_value_is_named_and_never_shown(parse, value, told):
    table, (problem,) = parse(f"# x\nAuthInfo:mx.example {value}\n", "file")
    assert table.entries == {}
    assert problem.line == 2
    assert told in problem.text
    assert "sesame" not in str(problem)


def test_what_is_no_entry_is_named_in_its_own_file_and_left_alone_in_the_access_map():
    text = 'Connect:x REJECT\nAuthInfo:y "I:ann" "P:sesame"\n'
    table, (problem,) = parse_authinfo(text, "authinfo")
    assert str(problem) == "authinfo:1: connect:x: no AuthInfo:; write AuthInfo:host"
    assert list(table.entries) == ["y"]
    table, problems = parse_access_authinfo(text, "access")
    assert (list(table.entries), problems) == (["y"], [])


TEXT = "".join(
    f'AuthInfo:{key}\t"I:{who}" "P:x"\n'
    for key, who in (
        ("mx.Example.net", "host"),
        ("example.org", "domain"),
        ("[192.0.2.25]", "literal"),
        ("192.0.2.26", "address"),
        ("198.51", "net"),
        ("IPv6:2001:DB8::1", "six"),
        ("IPv6:2001:db8:1", "six-net"),
        ("", "all"),
    )
)


@pytest.mark.parametrize(
    ("host", "address", "in_file", "in_access"),
    [
        ("MX.example.net.", "203.0.113.1", "host", "host"),
        ("mx.example.net", "192.0.2.25", "host", "host"),
        ("mx.example.org", "203.0.113.1", "all", "domain"),
        ("other.example", "192.0.2.25", "literal", "literal"),
        ("other.example", "192.0.2.26", "address", "address"),
        ("192.0.2.26", "192.0.2.26", "address", "address"),
        ("other.example", "198.51.100.7", "all", "net"),
        ("other.example", "2001:db8::1", "six", "six"),
        ("other.example", "2001:db8:1:2::3", "all", "six-net"),
        ("", "", "all", "all"),
    ],
)
def test_the_name_comes_before_the_address_and_both_before_the_one_for_all(
    host, address, in_file, in_access
):
    for parse, who in ((parse_authinfo, in_file), (parse_access_authinfo, in_access)):
        table, problems = parse(TEXT, "file")
        assert problems == []
        found = table.find(host, address)
        assert found.authid == who
        assert found.is_default == (who == "all")


def test_without_one_for_all_there_is_none():
    table, _ = parse_access_authinfo('AuthInfo:a.example "I:ann" "P:x"\n', "access")
    assert table.find("b.example", "192.0.2.1") is None


def test_the_old_file_has_a_line_for_each():
    table, _ = parse_default_auth_info("root\nann\nsesame\nr.example\nDIGEST-MD5 PLAIN\n", "d")
    (entry,) = table.entries.values()
    assert (entry.userid, entry.authid, entry.password) == ("root", "ann", "sesame")
    assert (entry.realm, entry.mechanisms) == ("r.example", ("DIGEST-MD5", "PLAIN"))
    assert table.find("any.example", "192.0.2.1").is_default
    table, _ = parse_default_auth_info("ann\n\nsesame", "d")
    assert table.entries[""].authid == "ann"
    assert parse_default_auth_info("", "d")[1] == []
    assert parse_default_auth_info("ann\n", "d")[1] != []
    assert "sesame" not in str(parse_default_auth_info("\n\nsesame\n", "d")[1])


def test_an_entry_does_not_show_its_password():
    assert "sesame" not in repr(entries('AuthInfo:x "I:ann" "P:sesame"\n'))


# ---- the files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("authinfo", 'AuthInfo:mx.example "I:ann" "P:sesame"\n'),
        ("access", 'AuthInfo:mx.example "I:ann" "P:sesame"\n'),
        ("default-auth-info", "ann\nann\nsesame\n"),
    ],
)
def test_a_file_that_others_can_read_is_not_used(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    file.chmod(0o640)
    tables = Tables(tmp_path)
    with pytest.raises(
        TableError, match=rf"others can read it \(mode 0640\); say: chmod 600 {file}"
    ):
        tables.auth_info("mx.example", "192.0.2.1")
    (problem,) = tables.problems()
    assert "holds passwords" in problem.text
    file.chmod(0o600)
    assert tables.auth_info("mx.example", "192.0.2.1").authid == "ann"
    assert tables.problems() == []


def test_an_access_map_without_entries_may_be_read_by_all(tmp_path):
    (tmp_path / "access").write_text("Connect:x REJECT\n")
    (tmp_path / "access").chmod(0o644)
    assert Tables(tmp_path).auth_info("mx.example", "192.0.2.1") is None


def test_its_own_file_comes_before_the_access_map_and_the_default(tmp_path):
    for name, text in (
        ("access", 'AuthInfo:mx.example "I:two" "P:x"\nAuthInfo:my.example "I:three" "P:x"\n'),
        ("authinfo", 'AuthInfo:mx.example "I:one" "P:x"\n'),
        ("default-auth-info", "four\n\nx\n"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    tables = Tables(tmp_path)
    found = [tables.auth_info(host, "").authid for host in ("mx.example", "my.example", "x")]
    assert found == ["one", "three", "four"]
