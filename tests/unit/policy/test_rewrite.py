"""Masquerading by its rules and properties. Recorded answers of sendmail are in tests/oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.policy.mailer_forms import KINDS
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.policy.rewrite import header, rewrite
from relaynode.policy.role import Role
from relaynode.tables.genericstable import parse_genericstable


def gate(*, ours: frozenset[str] = frozenset(), names=None, **settings) -> Masquerade:  # type: ignore[no-untyped-def]
    own = Names(hostname="gate.example.org", local=ours, **(names or {}))
    return Masquerade(names=own, **settings)


GATE = gate(
    as_domain="example.org",
    exposed_users=frozenset({"root"}),
    ours=frozenset({"gate.example.org", "alias.example.org", "[192.0.2.1]"}),
)
ALL = gate(as_domain="example.org", all_headers=True, envelope=True)
PLAIN = gate()


def result(masq: Masquerade, address: str, role: Role = Role.HEADER_SENDER) -> str:
    return rewrite(masq, address, role).result


# ---- one address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("joe", "joe@example.org"),
        ("joe+tag", "joe+tag@example.org"),
        ("joe@GATE.Example.Org.", "joe@example.org"),
        ("joe@alias.example.org", "joe@example.org"),
        ("joe@[192.0.2.1]", "joe@example.org"),
        ("joe@localhost", "joe@example.org"),
        ('"joe b"@gate.example.org', '"joe b"@example.org'),
        ("a%b@gate.example.org", "a%b@example.org"),
        ("joe%gate.example.org", "joe@example.org"),
        ("joe%Example.COM", "joe@Example.COM"),
        ("a!b", "a!b@example.org"),
        ("example.com!foo", "foo@example.com"),
        ("foo@nbr.UUCP", "nbr!foo@example.org"),
        ("root", "root@gate.example.org"),
        ("Root@alias.example.org", "Root@alias.example.org"),
        ("root+x", "root+x@example.org"),
        ("joe@sub.gate.example.org", "joe@sub.gate.example.org"),
        ("Joe@Example.COM", "Joe@Example.COM"),
        ("joe@example.com.", "joe@example.com"),
        ("", ""),
        ("<>", "<>"),
    ],
)
def test_a_header_sender_is_masqueraded_if_it_is_ours(address: str, expected: str) -> None:
    assert result(GATE, address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a!b%alias.example.org", "a!b@alias.example.org"),
        ("a!b%alias.example.org%gate.example.org", "a!b@alias.example.org"),
        ("a!b%x%alias.example.org", "a!b%x@alias.example.org"),
        ("a!b%far.example", "a!b%far.example@gate.example.org"),
    ],
)
def test_a_host_of_ours_that_is_written_twice_is_once_there(address: str, expected: str) -> None:
    masq = gate(ours=frozenset({"alias.example.org"}))
    assert result(masq, address) == expected


@pytest.mark.parametrize("masq", [PLAIN, GATE, ALL])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("joe", "joe@gate.example.org"),
        ("joe@localhost", "joe@gate.example.org"),
        ("joe@gate.example.org", "joe@gate.example.org"),
        ("foo@example.com", "foo@example.com"),
    ],
)
def test_an_envelope_recipient_is_qualified_and_never_masqueraded(
    masq: Masquerade, path: str, expected: str
) -> None:
    assert result(masq, path, Role.ENVELOPE_RECIPIENT) == expected


def test_the_settings_widen_masquerading_to_more_roles() -> None:
    assert result(GATE, "joe", Role.HEADER_RECIPIENT) == "joe@gate.example.org"
    assert result(ALL, "joe", Role.HEADER_RECIPIENT) == "joe@example.org"
    assert result(GATE, "joe", Role.ENVELOPE_SENDER) == "joe@gate.example.org"
    assert result(ALL, "joe", Role.ENVELOPE_SENDER) == "joe@example.org"
    assert result(ALL, "", Role.ENVELOPE_SENDER) == ""


def test_without_a_masquerade_names_get_our_own_domain() -> None:
    assert {result(PLAIN, "joe", role) for role in Role} == {"joe@gate.example.org"}


def test_further_domains_are_hidden_exactly_or_with_all_below_them() -> None:
    lan = frozenset({"lan.example.org"})
    exact = gate(as_domain="example.org", names={"masqueraded": lan})
    entire = gate(
        as_domain="example.org",
        names={"masqueraded": lan, "masqueraded_entire": True},
        exceptions=frozenset({"ext.lan.example.org"}),
        exposed_users=frozenset({"root"}),
    )
    assert result(exact, "u@Lan.example.org") == "u@example.org"
    assert result(exact, "u@pc1.lan.example.org") == "u@pc1.lan.example.org"
    assert result(entire, "u@pc1.lan.example.org") == "u@example.org"
    assert result(entire, "u@flan.example.org") == "u@flan.example.org"
    assert result(entire, "u@ext.lan.example.org") == "u@ext.lan.example.org"
    assert result(entire, "u@a.ext.lan.example.org") == "u@a.ext.lan.example.org"
    assert result(entire, "root@pc1.lan.example.org") == "root@pc1.lan.example.org"


def test_the_masquerade_may_be_limited_to_those_domains() -> None:
    limited = gate(
        as_domain="example.org", names={"masqueraded": frozenset({"lan.example.org"})}, limited=True
    )
    assert result(limited, "u@gate.example.org") == "u@gate.example.org"
    assert result(limited, "u@lan.example.org") == "u@example.org"
    assert result(limited, "u") == "u@example.org"


def test_the_trail_tells_the_steps() -> None:
    def told(address: str, role: Role) -> list[str]:
        return [str(step) for step in rewrite(GATE, address, role).trail]

    assert told("root@localhost", Role.HEADER_SENDER) == ["hide root: an exposed user"]
    assert told("joe", Role.ENVELOPE_SENDER) == ["no domain: qualified with gate.example.org"]
    assert told("joe", Role.HEADER_SENDER) == ["hide no domain: masqueraded as example.org"]
    assert told("x@far.example", Role.HEADER_SENDER) == ["hide far.example: not ours"]


# ---- the genericstable

GENERIC = parse_genericstable(
    """\
joe                    joe.user@example.org
alice                  alice.a
carol+*                carol-%1@example.org
root@gate.example.org  sysadm@example.org
@old.example           %1@new.example
""",
    "/etc/mail/genericstable",
)[0]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("joe", "joe.user@example.org"),
        ("Joe+x", "joe.user@example.org"),
        ("joe@gate.example.org", "joe@example.net"),
        ("alice", "alice.a@example.net"),
        ("carol+work", "carol-work@example.org"),
        ("root", "sysadm@example.org"),
        ("bob@old.example", "bob@new.example"),
        ("bob@sub.old.example", "bob@sub.old.example"),
        ("bob", "bob@example.net"),
    ],
)
def test_a_sender_may_have_an_address_of_his_own(address: str, expected: str) -> None:
    names = {"generic": frozenset({"old.example"})}
    masq = gate(as_domain="example.net", names=names, genericstable=GENERIC)
    assert result(masq, address) == expected


def test_a_hit_in_the_genericstable_is_told_with_file_and_line() -> None:
    masq = gate(genericstable=GENERIC)
    steps = rewrite(masq, "alice", Role.HEADER_SENDER).trail
    assert "genericstable alice: alice.a (/etc/mail/genericstable:2)" in map(str, steps)


# ---- mailers that speak UUCP


@pytest.mark.parametrize(
    ("mailer", "role", "address", "expected"),
    [
        ("uucp-old", Role.HEADER_SENDER, "joe", "gate.example.org!joe"),
        ("uucp-old", Role.HEADER_SENDER, "foo@far.example", "gate.example.org!far.example!foo"),
        ("uucp-new", Role.HEADER_RECIPIENT, "nbr!u", "nbr!u"),
        ("uucp-new", Role.HEADER_RECIPIENT, "nbr!far!u", "far!u"),
        ("uucp-old", Role.ENVELOPE_RECIPIENT, "foo@far.example", "far.example!foo"),
        ("uucp-old", Role.ENVELOPE_RECIPIENT, "joe@gate.example.org", "joe"),
        ("uucp-old", Role.ENVELOPE_SENDER, "", ""),
        ("uucp-dom", Role.HEADER_SENDER, "joe", "joe@example.org"),
        ("uucp-dom", Role.ENVELOPE_RECIPIENT, "nbr!far!u", "far!u"),
        ("uucp-uudom", Role.HEADER_SENDER, "joe", "joe@example.org"),
        ("uucp-uudom", Role.ENVELOPE_SENDER, "foo@far.example", "far.example!foo"),
    ],
)
def test_a_uucp_mailer_writes_addresses_its_own_way(
    mailer: str, role: Role, address: str, expected: str
) -> None:
    assert rewrite(GATE, address, role, mailer=mailer, host="nbr").result == expected


def test_a_bang_path_goes_by_the_uucp_relay_without_its_mailer() -> None:
    masq = gate(uucp_relay="uucp-dom:isp.example")
    assert result(masq, "nbr!u") == "nbr!u@isp.example"


# ---- the header

HEADER = (
    b"Received: from joe@gate.example.org\r\n"
    b"Return-Path: <joe@gate.example.org>\r\n"
    b'From: "Joe, at gate.example.org" <joe@gate.example.org> (joe@gate.example.org)\r\n'
    b"sender:joe\r\n"
    b"REPLY-TO: Joe\r\n\t<joe>,\r\n   root\r\n"
    b"To: list: alice@gate.example.org, <bob> ; , Caf\xe9 <z@example.com>\r\n"
    b"Subject: joe@gate.example.org\r\n"
    b"X-From: joe@gate.example.org\r\n"
    b"\r\n"
    b"From: joe@gate.example.org\r\n"
)


def test_only_addresses_in_sender_fields_are_masqueraded() -> None:
    assert header(GATE, HEADER) == (
        b"Received: from joe@gate.example.org\r\n"
        b"Return-Path: <joe@gate.example.org>\r\n"
        b'From: "Joe, at gate.example.org" <joe@example.org> (joe@gate.example.org)\r\n'
        b"sender:joe@example.org\r\n"
        b"REPLY-TO: Joe\r\n\t<joe@example.org>,\r\n   root@gate.example.org\r\n"
        b"To: list: alice@gate.example.org, <bob@gate.example.org> ; ,"
        b" Caf\xe9 <z@example.com>\r\n"
        b"Subject: joe@gate.example.org\r\n"
        b"X-From: joe@gate.example.org\r\n"
        b"\r\n"
        b"From: joe@gate.example.org\r\n"
    )


def test_recipients_are_masqueraded_too_when_all_headers_are() -> None:
    assert b"To: list: alice@example.org, <bob@example.org> ; ," in header(ALL, HEADER)


def test_a_local_mailer_gets_names_as_they_are() -> None:
    text = b"From: joe\r\nTo: Bob <bob>, alice@gate.example.org, a!b\r\n"
    assert header(GATE, text, mailer="local") == (
        b"From: joe\r\nTo: Bob <bob>, alice@gate.example.org, a!b\r\n"
    )


def test_a_local_mailer_may_be_told_to_add_the_domain_and_not_to_masquerade() -> None:
    text = b"From: joe\r\nTo: Bob <bob>\r\n"
    masq = gate(as_domain="example.org", always_add_domain=True)
    assert header(masq, text, mailer="local") == (
        b"From: joe@example.org\r\nTo: Bob <bob@gate.example.org>\r\n"
    )
    plain = gate(as_domain="example.org", always_add_domain=True, local=False)
    assert header(plain, text, mailer="local").startswith(b"From: joe@gate.example.org")


@pytest.mark.parametrize(
    "name",
    [
        b"From",
        b"Sender",
        b"Reply-To",
        b"Errors-To",
        b"Disposition-Notification-To",
        b"Resent-From",
        b"Resent-Sender",
        b"Resent-Reply-To",
    ],
)
def test_all_fields_that_name_senders_are_known(name: bytes) -> None:
    assert header(GATE, name + b": joe\r\n") == name + b": joe@example.org\r\n"


@pytest.mark.parametrize(
    "name",
    [b"To", b"Cc", b"Bcc", b"Apparently-To", b"Resent-To", b"Resent-Cc", b"Resent-Bcc"],
)
def test_all_fields_that_name_recipients_are_known(name: bytes) -> None:
    assert header(GATE, name + b": joe\r\n") == name + b": joe@gate.example.org\r\n"


def test_undecodable_bytes_in_an_address_survive_its_rewriting() -> None:
    assert header(GATE, b"From: andr\xe9@localhost\r\n") == b"From: andr\xe9@example.org\r\n"


@given(st.binary(max_size=200), st.sampled_from([PLAIN, GATE, ALL]))
def test_any_bytes_pass_through_header_rewriting(data: bytes, masq: Masquerade) -> None:
    header(masq, data)
    header(masq, b"From:" + data)
    header(masq, b"To: a, " + data + b", b\r\n")


@given(
    st.text(max_size=40) | st.text(st.sampled_from('a@!%+."\\<>():;,[] '), max_size=20),
    st.sampled_from(list(Role)),
    st.sampled_from(list(KINDS)),
)
def test_any_text_is_rewritten_without_an_error(text: str, role: Role, mailer: str) -> None:
    for masq in (PLAIN, GATE, ALL):
        rewrite(masq, text, role, mailer=mailer)


def test_a_header_full_of_brackets_is_left_alone() -> None:
    for odd in (b"<" * 60_000, b"@a," * 20_000 + b":b@c", b"a@" * 30_000, b"(" * 60_000):
        field = b"From: " + odd + b"\r\n"
        assert header(GATE, field) == field


ADDRESS = st.sampled_from(
    ["joe", "root", "joe@gate.example.org", "joe@localhost", "z@example.com", "a!b", "u+t", '"q r"']
)
FOREIGN = st.sampled_from(["z@example.com", '"a, b"@example.net', "u@[192.0.2.9]", "a%b@x.example"])
# What may stand before and behind an address in a list.
FRAME = st.sampled_from(
    [
        (" ", ""),
        ("\r\n\t", " "),
        (" <", ">"),
        (' "Phrase, joe@gate.example.org" <', "> (comment <joe>)"),
        (" (joe (nested)) ", " (joe)"),
        (" list: ", ";"),
        (" =?utf-8?q?a,b?= <@r1,@r2:", ">\r\n "),
        (" Caf\udce9 <", ">"),
        ("  ,, ", ""),
    ]
)
FIELD = st.sampled_from(["From", "REPLY-TO", "To", "cc", "Resent-Bcc"])


def built(name: str, entries: list[tuple[tuple[str, str], str]]) -> bytes:
    body = ",".join(f"{before}{address}{behind}" for (before, behind), address in entries)
    return f"{name}:{body}\r\nSubject: joe\r\n\r\njoe@localhost\r\n".encode(
        "utf-8", "surrogateescape"
    )


@given(FIELD, st.lists(st.tuples(FRAME, ADDRESS), max_size=6), st.sampled_from([PLAIN, GATE, ALL]))
def test_rewriting_changes_addresses_and_no_byte_beside_them(
    name: str, entries: list[tuple[tuple[str, str], str]], masq: Masquerade
) -> None:
    is_sender = name in ("From", "REPLY-TO")
    role = Role.HEADER_SENDER if is_sender else Role.HEADER_RECIPIENT
    expected = [(frame, rewrite(masq, address, role).result) for frame, address in entries]
    assert header(masq, built(name, entries)) == built(name, expected)


@given(FIELD, st.lists(st.tuples(FRAME, FOREIGN), max_size=6), st.sampled_from([PLAIN, GATE, ALL]))
def test_a_header_without_addresses_of_ours_stays_identical(
    name: str, entries: list[tuple[tuple[str, str], str]], masq: Masquerade
) -> None:
    text = built(name, entries)
    assert header(masq, text) == text


@given(ADDRESS, st.sampled_from(list(Role)), st.sampled_from([PLAIN, GATE, ALL]))
def test_rewriting_twice_gives_what_rewriting_once_gives(
    address: str, role: Role, masq: Masquerade
) -> None:
    once = result(masq, address, role)
    assert result(masq, once, role) == once
