"""Whose mail it is in a mailbox for many, by the marks of its server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.policy.multidrop import MAX_ADDRESSES, MAX_DOUBTS, Multidrop


def multidrop(**more):
    settings = {
        "server": "pop.example.net",
        "local_domains": ("example.org",),
        "others_as_they_are": True,
        **more,
    }
    return Multidrop(**settings)


def header(*lines):
    return "".join(f"{line}\r\n" for line in (*lines, "Subject: s", "")).encode()


def recipients(settings, *lines):
    return settings.find(header(*lines)).recipients


RECEIVED = (
    "Received: from a.example (a.example [192.0.2.1])\r\n\tby pop.example.net (mx 1)"
    " with ESMTP id 1\r\n\tfor <{}>; Mon, 1 Jan 2001 00:00:00 +0000"
)


# --- the envelope header


def test_a_header_names_its_own_recipient_whoever_stands_in_to():
    settings = multidrop(envelope_header="X-Envelope-To")
    found = settings.find(header("X-Envelope-To: <bob@example.org>", "To: list@far.example"))
    assert found.recipients == ("bob@example.org",)
    assert found.by == "X-Envelope-To"
    assert found.doubts == ()


@pytest.mark.parametrize(
    ("address", "whom"),
    [
        ("ann@example.org", ("ann@example.org",)),  # local_domains: passed on as it is
        ("Ann@Example.ORG.", ("Ann@Example.ORG",)),
        ("ann@sub.example.org", ("ann@sub.example.org",)),
        ("ann@badexample.org", ()),
        ("ann@pop.example.net", ("ann",)),
        ("ann@mail.example.net", ("ann",)),  # aka
        ("ann@sub.mail.example.net", ()),
        ("ann", ("ann",)),
        ("ROBERT@pop.example.net", ("bob",)),  # names, in any case
        ("sales@pop.example.net", ("sales@office.example",)),
        ("ann@far.example", ()),
    ],
)
def test_an_address_stands_for_somebody_of_ours_or_nobody(address, whom):
    settings = multidrop(
        envelope_header="Delivered-To",
        aka=("Mail.example.net",),
        names={"Robert": "bob", "sales": "sales@office.example"},
    )
    assert recipients(settings, f"Delivered-To: {address}") == whom


def test_without_others_as_they_are_only_the_names_are_known():
    settings = multidrop(names={"robert": "bob"}, others_as_they_are=False)
    assert recipients(settings, RECEIVED.format("robert@pop.example.net")) == ("bob",)
    assert recipients(settings, RECEIVED.format("ann@pop.example.net")) == ()


def test_the_prefix_of_a_virtual_domain_is_cut_off():
    settings = multidrop(envelope_header="Delivered-To", user_prefix="mbox-home-")
    assert recipients(settings, "Delivered-To: Mbox-Home-ann@example.org") == ("ann@example.org",)
    assert recipients(settings, "Delivered-To: bob@example.org") == ("bob@example.org",)


def test_copies_that_are_not_the_servers_are_skipped():
    settings = multidrop(envelope_header="Delivered-To", envelope_skip=1)
    lines = ("Delivered-To: box@example.org", "X: y", "Delivered-To: ann@example.org")
    assert recipients(settings, *lines) == ("ann@example.org",)


def test_a_line_for_each_recipient_counts_and_older_ones_further_down_do_not():
    settings = multidrop(envelope_header="X-Envelope-To")
    lines = (
        "X-Envelope-To: ann@example.org",
        "X-Envelope-To: bob@example.org, ANN@example.org",
        RECEIVED.format("x@y.example"),
        "X-Envelope-To: carl@example.org",
    )
    assert recipients(settings, *lines) == ("ann@example.org", "bob@example.org")


def test_copies_for_several_each_keep_their_own_recipient():
    settings = multidrop(envelope_header="X-Envelope-To")
    same = ("Message-Id: <1@x>", "To: all@example.org")
    found = [recipients(settings, f"X-Envelope-To: {one}@example.org", *same) for one in "abb"]
    assert found == [("a@example.org",), ("b@example.org",), ("b@example.org",)]


def test_what_the_server_says_holds_even_if_that_is_nobody():
    settings = multidrop(envelope_header="X-To", uses_addressees=True)
    lines = (RECEIVED.format("ann@example.org"), "To: ann@example.org")
    found = settings.find(header("X-To: victim@far.example", *lines))
    assert found.recipients == ()
    assert found.doubts == ("X-To names victim@far.example, who is nobody here",)
    assert recipients(settings, RECEIVED.format("x@far.example"), lines[1]) == ()


# --- Received


def test_received_is_asked_where_the_header_is_not_and_that_is_told():
    settings = multidrop(envelope_header="X-Envelope-To")
    found = settings.find(header(RECEIVED.format("ann@example.org"), "To: bob@example.org"))
    assert (found.recipients, found.by) == (("ann@example.org",), "Received")
    assert found.doubts == ("it has no X-Envelope-To",)


def test_only_a_received_line_of_the_server_tells():
    foreign = RECEIVED.format("bob@example.org").replace("by pop.example.net", "by evil.example")
    own = RECEIVED.format("ann@example.org")
    assert recipients(multidrop(), foreign, own) == ("ann@example.org",)
    assert recipients(multidrop(), foreign) == ()
    assert recipients(multidrop(aka=("evil.example",)), foreign, own) == ("bob@example.org",)


def test_what_a_client_calls_itself_is_not_taken_for_a_clause():
    line = (
        "Received: from x (by pop.example.net for <bob@example.org>) by far.example"
        " (by pop.example.net) for <bob@example.org>; date"
    )
    assert recipients(multidrop(), line) == ()


def test_received_lines_are_skipped_if_it_is_the_envelope_header():
    settings = multidrop(envelope_skip=1)
    lines = (RECEIVED.format("box@example.org"), RECEIVED.format("ann@example.org"))
    assert recipients(settings, *lines) == ("ann@example.org",)


def test_further_names_of_the_server_are_asked_for():
    asked = []

    def is_server(name):
        asked.append(name)
        return name == "mx.example.net"

    settings = multidrop(envelope_header="X-To", is_server=is_server)
    assert recipients(settings, "X-To: ann@mx.example.net") == ("ann",)
    assert recipients(settings, "X-To: ann@pop.example.net") == ("ann",)
    assert asked == ["mx.example.net"]


# --- To and Cc


def test_to_and_cc_are_a_guess_that_must_be_allowed_and_is_told():
    lines = ("To: Ann <ann@example.org>, x@far.example", "Cc: bob@example.org, ann@example.org")
    assert recipients(multidrop(), *lines) == ()
    found = multidrop(uses_addressees=True).find(header(*lines))
    assert found.recipients == ("ann@example.org", "bob@example.org")
    assert any("guess" in doubt for doubt in found.doubts)
    assert any("x@far.example" in doubt for doubt in found.doubts)


def test_who_sent_it_again_tells_to_whom():
    lines = ("Resent-To: bob@example.org", "To: ann@example.org")
    assert recipients(multidrop(uses_addressees=True), *lines) == ("bob@example.org",)


def test_with_no_envelope_at_all_received_is_not_asked():
    settings = multidrop(envelope_header="", uses_addressees=True)
    lines = (RECEIVED.format("bob@example.org"), "To: ann@example.org")
    assert recipients(settings, *lines) == ("ann@example.org",)


# --- what anybody may have written


@pytest.mark.parametrize(
    "address",
    [
        '"|/bin/sh"@pop.example.net',
        "|sh",
        "/etc/passwd",
        ":include:/etc/passwd@pop.example.net",
        "victim%far.example@pop.example.net",
        "far.example!victim@pop.example.net",
        "@pop.example.net:victim@far.example",
        "a%b@example.org",
        '"x@far.example"@example.org',
        "far!victim@example.org",
        "-oQ/tmp@pop.example.net",
        "\x80ann@pop.example.net",
        "x" * 65 + "@example.org",
        "ann@far!victim.example.org",
        "ann@a%b.example.org",
        "ann@\x1b.example.org",
        "ann@\xff.example.org",
        "ann@" + "a." * 200 + "example.org",
        "",
    ],
)
def test_a_name_that_would_lead_on_is_nobody(address):
    settings = multidrop(envelope_header="X-To", uses_addressees=True)
    assert recipients(settings, f"X-To: {address}") == ()


def test_what_is_told_of_a_header_full_of_strangers_has_an_end():
    names = ",".join(f"u{number}@far.example" for number in range(1000))
    doubts = multidrop(envelope_header="X-To").find(header(f"X-To: {names}")).doubts
    assert len(doubts) == MAX_DOUBTS + 1
    assert doubts[-1] == f"and {MAX_ADDRESSES + 1 - MAX_DOUBTS} more"


def test_a_thousand_names_cost_no_more_than_a_hundred():
    names = ",".join(f"u{number}@example.org" for number in range(1000))
    found = multidrop(envelope_header="X-To").find(header(f"X-To: {names}"))
    assert len(found.recipients) == MAX_ADDRESSES
    assert any("only the first" in doubt for doubt in found.doubts)


@given(
    st.lists(
        st.sampled_from(
            (
                *("X-To: ", "Received: ", "To: ", "by pop.example.net ", "for ", "<", ">", "@"),
                *("example.org", "far.example", "ann", ",", ";", "(", ")", '"', "%", "!", "\r\n"),
                *(" ", "\r\n\t", ":", "\xff", "|"),
            )
        )
    )
)
def test_whatever_a_header_says_the_mail_stays_with_us(parts):
    settings = multidrop(envelope_header="X-To", uses_addressees=True)
    found = settings.find("".join(parts).encode("latin-1"))
    for address in found.recipients:
        local, _, domain = address.partition("@")
        assert local
        assert not set(local) & set('|/%!:"<>() ')
        assert domain in ("", "example.org")
