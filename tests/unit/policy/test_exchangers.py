"""From MX records and addresses to the hosts that are tried, in order; or why there are none."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.policy.exchangers import (
    MAX_ADDRESSES,
    MAX_HOSTS,
    MAX_TARGETS,
    MailHost,
    Target,
    balanced,
    mail_hosts,
    targets,
)

OURS = {"us.example", "localhost"}


def hosts(records, *, exists=True, shuffle=lambda equals: equals.sort(key=str)):
    return mail_hosts(
        "a.example",
        records,
        exists=exists,
        is_our_name=OURS.__contains__,
        shuffle=shuffle,
    )


def names(records, **options):
    return [host.name for host in hosts(records, **options)]


def found(listed, addresses, failed=(), ours=()):
    return targets(
        "a.example",
        [MailHost(*one) for one in listed],
        addresses,
        failed=failed,
        is_our_address=set(ours).__contains__,
    )


def test_the_lowest_preference_comes_first():
    records = [(20, "c.example"), (5, "b.example"), (10, "d.example")]
    assert names(records) == ["b.example", "d.example", "c.example"]


def test_equals_are_shuffled_and_nothing_else():
    def reverse(equals):
        equals.reverse()

    records = [(10, "a"), (10, "b"), (10, "c"), (20, "d"), (20, "e")]
    assert names(records, shuffle=reverse) == ["c", "b", "a", "e", "d"]


@given(st.lists(st.tuples(st.integers(0, 65535), st.sampled_from("abcdefgh")), min_size=1))
def test_any_shuffle_keeps_the_order_of_preferences(records):
    ordered = hosts(records, shuffle=random.Random(1).shuffle)
    preferences = [host.preference for host in ordered]
    assert preferences == sorted(preferences)
    assert {(host.preference, host.name) for host in ordered} <= set(records)


def test_a_record_that_is_there_twice_counts_once():
    assert names([(10, "b.example."), (10, "B.example")]) == ["b.example"]


def test_without_mx_the_domain_is_its_own_host():
    assert names([]) == ["a.example"]


def test_only_the_best_hosts_are_looked_up():
    assert len(hosts([(number, f"h{number}") for number in range(200)])) == MAX_HOSTS


@pytest.mark.parametrize(
    ("records", "exists", "status"),
    [
        ([], False, "550 5.1.2 a.example: there is no such domain"),
        ([(0, "")], True, "556 5.1.10 a.example takes no mail (null MX)"),
        ([(0, ".")], True, "556 5.1.10 a.example takes no mail (null MX)"),
        ([(10, "bad host")], True, "550 5.4.4 a.example: no MX record names a host"),
        ([(10, "b\\000d.example")], True, "550 5.4.4 a.example: no MX record names a host"),
        ([(10, "x" * 64)], True, "550 5.4.4 a.example: no MX record names a host"),
    ],
)
def test_where_there_can_be_no_host_the_status_says_why(records, exists, status):
    assert str(hosts(records, exists=exists)) == status


def test_a_null_record_among_others_is_passed_over():
    assert names([(0, "."), (10, "b.example")]) == ["b.example"]


def test_we_and_what_is_no_better_are_left_out():
    records = [(5, "b.example"), (10, "us.example"), (10, "c.example"), (20, "d.example")]
    assert names(records) == ["b.example"]


@pytest.mark.parametrize("others", [[], [(10, "c.example")], [(20, "d.example")]])
def test_if_we_are_the_best_the_mail_waits_for_the_administrator(others):
    status = hosts([(10, "US.example."), *others])
    assert status.is_temporary and status.enhanced == "4.3.5"
    assert "MX list for a.example points back to us" in status.text


def test_addresses_come_host_by_host_and_both_kinds_in_turn():
    addresses = {"b": ["2001:db8::1", "2001:db8::2", "192.0.2.1"], "c": ["192.0.2.2"]}
    assert found([(5, "b"), (10, "c")], addresses) == [
        Target("b", "2001:db8::1"),
        Target("b", "192.0.2.1"),
        Target("b", "2001:db8::2"),
        Target("c", "192.0.2.2"),
    ]


def test_one_kind_alone_is_as_it_is():
    assert balanced(["192.0.2.2", "192.0.2.1", "192.0.2.2"]) == ["192.0.2.2", "192.0.2.1"]


def test_neither_a_host_nor_a_list_is_tried_for_ever():
    many = {name: [f"192.0.2.{number}" for number in range(50)] for name in "bcdefg"}
    tried = found([(number, name) for number, name in enumerate("bcdefg")], many)
    assert len(tried) == MAX_TARGETS
    assert [one.host for one in tried].count("b") == MAX_ADDRESSES


def test_an_address_of_ours_is_we_whatever_it_is_called():
    addresses = {"b": ["192.0.2.1"], "c": ["192.0.2.9", "192.0.2.7"], "d": ["192.0.2.2"]}
    listed = [(5, "b"), (10, "c"), (10, "d")]
    assert found(listed, addresses, ours=["192.0.2.7"]) == [Target("b", "192.0.2.1")]
    status = found(listed, addresses, ours=["192.0.2.1"])
    assert status.is_temporary and status.enhanced == "4.3.5"


@pytest.mark.parametrize(
    ("listed", "failed", "status"),
    [
        ([(0, "a.example")], [], "550 5.1.2 a.example has neither MX nor address"),
        ([(1, "b")], [], "550 5.4.4 a.example: no host of its MX list has an address"),
        ([(1, "b"), (2, "c")], ["A of c: SERVFAIL"], "451 4.4.3 A of c: SERVFAIL"),
        ([(0, "a.example")], ["A of a.example: SERVFAIL"], "451 4.4.3 A of a.example: SERVFAIL"),
    ],
)
def test_hosts_without_addresses_are_final_only_if_the_dns_said_so(listed, failed, status):
    assert str(found(listed, {}, failed)) == status


def test_a_host_that_cannot_be_looked_up_leaves_the_others():
    assert found([(1, "b"), (2, "c")], {"c": ["192.0.2.1"]}, ["A of b: SERVFAIL"]) == [
        Target("c", "192.0.2.1")
    ]
