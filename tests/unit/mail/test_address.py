"""Paths of RFC 5321 and addresses in header fields."""

from __future__ import annotations

import string
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import AddressError
from relaynode.mail.address import (
    addresses,
    join,
    normalise_domain,
    parse_path,
    scan,
    split,
    unread,
)

# ---- split and join


@pytest.mark.parametrize(
    ("address", "local", "domain"),
    [
        ("alice@example.org", "alice", "example.org"),
        ("alice", "alice", ""),
        ("", "", ""),
        ('"a@b"@example.org', '"a@b"', "example.org"),
        ('"a@b"', '"a@b"', ""),
        ('"a\\"@b"@c', '"a\\"@b"', "c"),
        ("a@b@c", "a@b", "c"),
        ('"a@b', '"a', "b"),
        ("alice@[IPv6:::1]", "alice", "[IPv6:::1]"),
    ],
)
def test_an_address_is_split_at_its_last_unquoted_at(address: str, local: str, domain: str) -> None:
    assert split(address) == (local, domain)


@given(st.text(max_size=30))
def test_join_undoes_split_unless_the_domain_is_empty(address: str) -> None:
    local, domain = split(address)
    assert join(local, domain) == (address if domain else local)


def test_domains_are_compared_in_lower_case_without_the_final_dot() -> None:
    assert normalise_domain("Mail.Example.ORG.") == "mail.example.org"


# ---- paths

L64 = "x" * 64
D187 = ".".join(["d" * 20] * 8 + ["d" * 19])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("<alice@example.org>", "alice@example.org"),
        (" <alice@example.org> ", "alice@example.org"),
        ("alice@example.org", "alice@example.org"),
        ("<>", ""),
        ("<postmaster>", "postmaster"),
        ("<Alice@Example.ORG>", "Alice@Example.ORG"),
        ("<alice@example.org.>", "alice@example.org"),
        ("<@a.example,@b.example:alice@c.example>", "alice@c.example"),
        ("<@[IPv6:::1]:alice@c.example>", "alice@c.example"),
        ("<hosta!hostb!alice>", "hosta!hostb!alice"),
        ("<a!b@example.org>", "a!b@example.org"),
        ("<a%b@example.org>", "a%b@example.org"),
        ("<a+b@example.org>", "a+b@example.org"),
        ("<a..b.@example.org>", "a..b.@example.org"),
        ("<#$&'*/=?^_`{|}~-@example.org>", "#$&'*/=?^_`{|}~-@example.org"),
        ('<"a b"@example.org>', '"a b"@example.org'),
        ('<"a@b>\\"c"@example.org>', '"a@b>\\"c"@example.org'),
        ('<""@example.org>', '""@example.org'),
        ('"a b"', '"a b"'),
        ("<alice@[192.0.2.1]>", "alice@[192.0.2.1]"),
        ("<alice@[IPv6:2001:db8::1]>", "alice@[IPv6:2001:db8::1]"),
        ("<alice@under_score.example>", "alice@under_score.example"),
        ("<alice@host>", "alice@host"),
        (f"<{L64}@example.org>", f"{L64}@example.org"),
        (f"<{L64}@{D187}.e>", f"{L64}@{D187}.e"),
    ],
)
def test_a_legal_path_is_read(text: str, path: str) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no address is given"),
        ("   ", "no address is given"),
        ("< >", "a blank in the local part must be quoted"),
        ("<alice@example.org", "closing bracket"),
        ("alice@example.org>", "opening bracket"),
        ("<alice smith@example.org>", "a blank in the local part must be quoted"),
        ("<alice@exam ple.org>", "a blank cannot be in a domain"),
        ("<alice@>", "the domain is empty"),
        ("<alice@.>", "the domain is empty"),
        ("<@example.org>", "begins with '@'"),
        ("<@a,b:c@d>", "begins with '@'"),
        ("<@a:>", "the local part is empty"),
        ("<alice@a..b>", "empty label"),
        ("<alice@.b>", "empty label"),
        ("<alice@b..>", "empty label"),
        ("<a@b@c>", "'@' in the local part must be quoted"),
        ("<a(comment)@b>", "'(' in the local part must be quoted"),
        ("<a,b@c>", "',' in the local part must be quoted"),
        ("<a\\b@c>", "'\\' in the local part must be quoted"),
        ("<<a@b>>", "'<' in the local part must be quoted"),
        ("<alice@b,c>", "',' cannot be in a domain"),
        ("<alice@a/b>", "'/' cannot be in a domain"),
        ('<"alice@example.org>', "quotes"),
        ('<"a"b@example.org>', "quotes"),
        ("<alice@[192.0.2.256]>", "address literal"),
        ("<alice@[192.0.2.1>", "address literal"),
        ("<alice@[IPv6:zz]>", "address literal"),
        ("<alice@[IPv6:fe80::1%eth0]x>", "address literal"),
        ("<alice@[]>", "address literal"),
        ("<alice\r\nRCPT TO:<bob>@x>", "control character 0x0d"),
        ("<al\0ice@x>", "control character 0x00"),
        ("<al\tice@x>", "control character 0x09"),
        ('<"al\x7fice"@x>', "control character 0x7f"),
        ("<andré@example.org>", "SMTPUTF8"),
        ("<alice@exämple.org>", "SMTPUTF8"),
        ("<andr\udce9@example.org>", "not valid UTF-8"),
        (f"<{L64}x@example.org>", "the local part is longer than 64 octets"),
        (f"<a@{'d' * 256}>", "the domain is longer than 255 octets"),
        (f"<a@{'d' * 255}>", "the path is longer than 256 octets"),
        (f"<{L64}@{D187}.ee>", "the path is longer than 256 octets"),
        (f"<{'@a,' * 80}@b:alice@example.org>", "the path is longer than 256 octets"),
    ],
)
def test_a_wrong_path_is_refused_and_the_error_says_why(text: str, what: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_path(text)
    assert what in str(caught.value)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


def test_the_path_limit_counts_the_brackets_even_if_they_are_left_out() -> None:
    longest = f"{L64}@{D187}.e"
    assert len(longest) == 254
    assert parse_path(longest) == longest
    with pytest.raises(AddressError, match="256 octets"):
        parse_path(f"{longest}e")


def test_letters_outside_ascii_are_read_when_smtputf8_was_declared() -> None:
    assert parse_path("<andré@exämple.org>", allow_utf8=True) == "andré@exämple.org"


def test_limits_count_octets_and_not_letters() -> None:
    assert parse_path(f"<{'é' * 32}@x>", allow_utf8=True)
    with pytest.raises(AddressError, match="64 octets"):
        parse_path(f"<{'é' * 33}@x>", allow_utf8=True)


def test_undecodable_bytes_and_c1_controls_are_refused_under_smtputf8_too() -> None:
    with pytest.raises(AddressError, match="not valid UTF-8"):
        parse_path("<andr\udce9@x>", allow_utf8=True)
    with pytest.raises(AddressError, match="control character 0x85"):
        parse_path("<a\x85b@x>", allow_utf8=True)


ATOM = st.text(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=9)
QUOTED = st.lists(
    st.sampled_from([*string.ascii_letters, " ", "@", "<", ">", ",", "\\\\", '\\"'])
).map(lambda parts: '"' + "".join(parts[:20]) + '"')
LOCAL = st.one_of(st.lists(ATOM, min_size=1, max_size=4).map(".".join), QUOTED)
LABEL = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
DOMAIN = st.one_of(
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(lambda ip: f"[{ip}]"),
    st.ip_addresses(v=6).map(lambda ip: f"[IPv6:{ip}]"),
)


@given(LOCAL, st.one_of(st.just(""), DOMAIN))
def test_a_well_formed_path_is_read_as_it_was_written(local: str, domain: str) -> None:
    path = join(local, domain)
    assert parse_path(f"<{path}>") == path
    assert split(path) == (local, domain)


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_read_or_refused_and_a_read_one_reads_the_same_again(
    text: str, allow_utf8: bool
) -> None:
    try:
        path = parse_path(text, allow_utf8=allow_utf8)
    except AddressError:
        return
    assert parse_path(f"<{path}>", allow_utf8=allow_utf8) == path
    assert "\r" not in path
    assert "\n" not in path


# ---- header fields


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b" alice@example.org\r\n", ["alice@example.org"]),
        (b" alice", ["alice"]),
        (b" Alice A <alice@x>, bob", ["alice@x", "bob"]),
        (b" alice@x,\r\n\tbob@y,\r\n carol@z\r\n", ["alice@x", "bob@y", "carol@z"]),
        (b' "Smith, John" <john@x>, "a@b" <c@d>', ["john@x", "c@d"]),
        (b" alice@x (Alice (the <first>) \\) of, many), bob@y", ["alice@x", "bob@y"]),
        (b" (first) alice@x", ["alice@x"]),
        (b" <@a,@b:u@c>", ["u@c"]),
        (b" list: a, b;, c", ["a", "b", "c"]),
        (b" undisclosed-recipients:;", []),
        (b' "my list": <a@x>, b@y; , c@z', ["a@x", "b@y", "c@z"]),
        (b" a!b!c", ["a!b!c"]),
        (b" , ,,a@x,, b@y,", ["a@x", "b@y"]),
        (b" <>", []),
        (b"", []),
        (b" =?utf-8?Q?Smith,_J?= <j@x>", ["j@x"]),
        (b" Andr\xe9 <andre@x>, caf\xc3\xa9@y", ["andre@x", "café@y"]),
        (b" \xff@x", ["\udcff@x"]),
        (b' "a b"@x, "c,d"@y', ['"a b"@x', '"c,d"@y']),
        (b" alice . b (c) @ x . y", ["alice.b@x.y"]),
        (b" u@[192.0.2.1], v@[IPv6:::1]", ["u@[192.0.2.1]", "v@[IPv6:::1]"]),
        (b" a@x; b@y", ["a@x", "b@y"]),
        (b" alice@x.", ["alice@x."]),
        (b" alice@", ["alice"]),
        (b" \\alice", ["\\alice"]),
        (b" <mailto:alice@x>", ["alice@x"]),
        (b" user+tag@x, user%host", ["user+tag@x", "user%host"]),
        # damaged, but still clear
        (b" <alice@x", ["alice@x"]),
        (b" <alice@x, bob@y", ["alice@x", "bob@y"]),
        (b" alice@x>, bob@y", ["alice@x", "bob@y"]),
        (b" <<alice@x>>", ["alice@x"]),
        (b" alice@x (no end, bob@y", ["alice@x"]),
        (b" Bob Smith bob@x", ["bob@x"]),
        (b" a@b@c", ["a@b@c"]),
        (b' "Alice <alice@x>, bob@y, <carol@z>', ["alice@x", "carol@z"]),
        # hopeless
        (b" Alice Smith", []),
        (b" J. Smith", []),
        (b" =?utf-8?q?Alice?=", []),
        (b" @x", []),
        (b" @@@", []),
        (b' "Alice', []),
        (b" (alice@x", []),
        (b" )", []),
        (b" \\", []),
    ],
)
def test_the_addresses_of_a_header_field_are_found(value: bytes, found: list[str]) -> None:
    assert addresses(value) == found


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        (b' "A" <alice@x> (c), bob (B)\r\n', [b"alice@x", b"bob"]),
        (b" list: <@a:u@c>, b;", [b"u@c", b"b"]),
        (b" < alice @ x >", [b"alice @ x"]),
        (b" a . b@c . d (e)", [b"a . b@c . d"]),
        (b" alice@", [b"alice@"]),
    ],
)
def test_a_span_holds_the_address_and_nothing_beside_it(value: bytes, spans: list[bytes]) -> None:
    assert [value[mailbox.start : mailbox.end] for mailbox in scan(value)] == spans


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (b" alice bob, carol", ["alice bob"]),
        (b" Alice <>, bob", ["Alice <>"]),
        (b" alice bob\r\n\t(x), @y", ["alice bob\r\n\t(x)", "@y"]),
        (b' "Alice, bob@x', ['"Alice', "bob@x"]),
        (b" a@x, <b>, list: c;, nobody:;, , (only a comment)", []),
    ],
)
def test_list_elements_without_a_sure_address_are_named(value: bytes, left: list[str]) -> None:
    assert unread(value) == left


AWKWARD = st.lists(
    st.sampled_from(
        [
            b"a",
            b"b@c",
            b" ",
            b"\r\n ",
            b"@",
            b",",
            b";",
            b":",
            b"<",
            b">",
            b"(",
            b")",
            b'"',
            b"\\",
            b"[",
            b"]",
            b".",
            b"!",
            b"\xe9",
            b"\0",
            b"=?utf-8?q?",
            b"?=",
        ]
    ),
    max_size=40,
).map(b"".join)


@given(st.one_of(st.binary(max_size=80), AWKWARD))
def test_scan_never_fails_and_its_spans_are_in_order_and_do_not_overlap(value: bytes) -> None:
    position = 0
    for mailbox in scan(value):
        assert position <= mailbox.start < mailbox.end <= len(value)
        assert mailbox.local
        position = mailbox.end
    for text in unread(value):
        assert text


@given(st.lists(st.tuples(LOCAL, DOMAIN), max_size=6))
def test_a_list_of_well_formed_addresses_is_found_whole(boxes: list[tuple[str, str]]) -> None:
    wanted = [join(local, domain) for local, domain in boxes]
    plain = ",\r\n\t".join(wanted).encode()
    angled = ", ".join(f'"x, y" (z) <{address}>' for address in wanted).encode()
    assert addresses(plain) == wanted
    assert addresses(angled) == wanted
    assert unread(plain) == []


@pytest.mark.parametrize(
    "pattern",
    [
        b"(",
        b"()",
        b"(a",
        b'"',
        b'"\\',
        b"\\",
        b"[",
        b"<",
        b"<a@",
        b"@",
        b"a@",
        b"a . ",
        b"a ",
        b":",
        b";",
        b"=?a?q?",
        b'"=?a?q?\\?="',
        b"u@ex.y,",
        b"<@a,",
        b'("',
        b'")',
    ],
)
def test_a_full_header_of_anything_is_scanned_at_once(pattern: bytes) -> None:
    value = (pattern * (65536 // len(pattern) + 1))[:65536]
    begin = perf_counter()
    scan(value)
    scan(b"<" + value)
    scan(b'"' + value)
    assert perf_counter() - begin < 5.0  # a quadratic scan takes minutes
