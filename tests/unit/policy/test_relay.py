"""Who may send where: nobody relays through us but those whom somebody has named."""

import pytest

from relaynode.policy.access_rules import RelayFrom
from relaynode.policy.client import Client, NameState
from relaynode.policy.names import Names
from relaynode.policy.route import Routing
from relaynode.policy.routing_settings import Relays
from relaynode.tables.mailertable import parse_mailertable
from relaynode.tables.virtusertable import parse_virtusertable
from unit.policy.gates import NAMES, STRANGER, Zone, gate, named, rcpt

NO_RELAY = "550 5.7.1 Relaying denied"
FAR = "friend@far.example"


def nameless(state, address="203.0.113.9"):
    return Client(address=address, name_state=state)


# --- the recipient


@pytest.mark.parametrize(
    "address", ["joe@ours.example", "joe@OURS.example.", "joe", "joe@[192.0.2.1]"]
)
def test_mail_for_us_is_taken_from_anybody(address):
    assert rcpt(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        FAR,
        "joe@sub.ours.example",
        "joe@ours.example.far.example",
        "joe@[203.0.113.1]",
        '"joe@ours.example"@far.example',
        "joe%ours.example@far.example",
        "ours.example!joe@far.example",
    ],
)
def test_mail_for_others_is_not_taken_from_strangers(address):
    assert rcpt(address) == NO_RELAY


@pytest.mark.parametrize(
    "address",
    [
        "friend%far.example@ours.example",
        "friend%far.example",
        "far.example!friend@ours.example",
        "far.example!friend",
        '"friend@far.example"@ours.example',
        '"friend@far.example"',
        "friend%far.example%ours.example@localhost",
        "far.example!friend%ours.example@ours.example",
        '"far.example!friend"@ours.example',
        "@ours.example:friend@far.example",
        "friend%far.example@served.example",
        "far.example!friend@served.example",
        "friend%far.example%served.example@ours.example",
    ],
)
def test_no_trick_of_writing_leads_a_strangers_mail_out_again(address):
    assert rcpt(address, relay_domains="served.example") == NO_RELAY


TRICKS = [
    f"{user}{joint}{domain}{end}"
    for user in ("joe", '"joe"', "a!joe", "joe%far.example", '"joe@far.example"', "joe+x")
    for joint in ("@", "%", "!", "@@", "%@")
    for domain in ("ours.example", "far.example", "localhost", "[192.0.2.1]", "gate")
    for end in ("", "@ours.example", "%ours.example", "@", "!x", ".", "@far.example")
]


@pytest.mark.parametrize("bang_paths", [True, False])
def test_what_a_stranger_may_send_never_has_a_route_that_leaves_this_machine(bang_paths):
    names = Names(hostname=NAMES.hostname, local=NAMES.local, bang_paths=bang_paths)
    routing = Routing(
        names=names,
        mailertable=parse_mailertable("", "m")[0],
        virtusertable=parse_virtusertable("", "v")[0],
        relays=Relays(smart_host="relay.example.net"),
    )
    allowed = [address for address in TRICKS if rcpt(address, names=names) == ""]
    assert len(allowed) > 30
    assert {routing.route(address).route.mailer for address in allowed} == {"local"}


def test_domains_we_relay_for_stand_for_all_below_them():
    domains = "served.example\n.below.example\n"
    for address in ("x@served.example", "x@sub.SERVED.example", "x@sub.below.example"):
        assert rcpt(address, relay_domains=domains) == ""
    for address in ("x@unserved.example", "x@below.example", "x@example"):
        assert rcpt(address, relay_domains=domains) == NO_RELAY


def test_a_tagged_or_plain_relay_entry_serves_a_domain_and_ok_does_not():
    table = "To:a.example RELAY\nb.example RELAY\nTo:c.example OK\nFrom:d.example RELAY\n"
    assert [rcpt(f"x@sub.{name}.example", table) for name in "abcd"] == ["", "", NO_RELAY, NO_RELAY]


def test_relay_hosts_only_takes_names_as_they_are():
    more = {"relay_hosts_only": True, "relay_domains": "served.example"}
    table = "To:a.example RELAY\n"
    assert rcpt("x@served.example", table, **more) == ""
    assert rcpt("x@a.example", table, **more) == ""
    assert rcpt("x@sub.served.example", table, **more) == NO_RELAY
    assert rcpt("x@sub.a.example", table, **more) == NO_RELAY


def test_relay_to_full_address_serves_a_mailbox():
    table = "To:joe@a.example RELAY\nTo:ann@ RELAY\n"
    assert rcpt("joe+x@a.example", table, relay_to_full_address=True) == ""
    assert rcpt("ann@b.example", table, relay_to_full_address=True) == ""
    assert rcpt("bob@a.example", table, relay_to_full_address=True) == NO_RELAY
    assert rcpt("joe@a.example", table) == NO_RELAY


def test_relay_entire_domain_serves_all_hosts_of_our_domain():
    assert rcpt("x@pc1.ours.example", relay_entire_domain=True) == ""
    assert rcpt("x@pc1.ours.example") == NO_RELAY
    pc = named("pc1.ours.example")
    assert rcpt(FAR, "", pc, relay_entire_domain=True) == ""
    assert rcpt(FAR, "", pc) == NO_RELAY


def test_relay_based_on_mx_serves_the_domains_that_name_us():
    zone = Zone(
        served_example=("other.example", "gate.ours.example"),
        far_example=("mx.far.example",),
        failing_example=None,
    )
    more = {"relay_based_on_mx": True, "domains": zone}
    assert rcpt("x@served.example", **more) == ""
    assert rcpt(FAR, **more) == NO_RELAY
    assert rcpt("x%far.example@served.example", **more) == NO_RELAY
    text = "450 4.4.0 Can not check MX records for recipient host failing.example"
    assert rcpt("x@failing.example", **more) == text
    trusted = Client(address="203.0.113.9", is_trusted=True)
    assert rcpt("x@failing.example", "", trusted, **more) == ""


def test_loose_relay_check_does_not_look_into_names_at_domains_we_relay_for():
    more = {"relay_domains": "served.example"}
    assert rcpt("x%far.example@served.example", loose_relay_check=True, **more) == ""
    assert rcpt("x%far.example@served.example", **more) == NO_RELAY
    assert rcpt("x%far.example@ours.example", loose_relay_check=True, **more) == NO_RELAY


def test_a_rejected_bang_path_is_nobody_of_ours():
    names = Names(hostname=NAMES.hostname, local=NAMES.local, bang_paths=False)
    assert rcpt("a!b@ours.example", names=names) == ""
    assert rcpt("a!b@ours.example", names=names, rejects_bang_paths=True) == NO_RELAY
    assert rcpt("a!b", names=names, rejects_bang_paths=True) == NO_RELAY


def test_promiscuous_relay_lets_everybody_send_everywhere():
    assert rcpt(FAR, promiscuous_relay=True) == ""
    assert rcpt(FAR, "To:far.example 550 no\n", promiscuous_relay=True) == "550 5.0.0 no"


# --- the client


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_always_send(address):
    assert rcpt(FAR, "", Client(address=address)) == ""


def test_a_network_we_serve_may_send():
    assert rcpt(FAR, "", Client(address="192.168.1.7", is_trusted=True)) == ""


def test_whoever_has_logged_in_may_send_and_is_not_asked_again():
    client = Client(address="203.0.113.9", is_authenticated=True)
    verdict = gate("", client).check_rcpt("a@b.example", FAR)
    assert verdict.is_accepted and verdict.is_final


def test_the_tables_let_a_client_pass_by_its_address():
    for table in ("Connect:203.0.113 RELAY\n", "203 RELAY\n"):
        assert rcpt(FAR, table, nameless(NameState.NONE)) == ""
    assert rcpt(FAR, relay_domains="203.0.113", client=nameless(NameState.NOT_ASKED)) == ""
    assert rcpt(FAR, relay_domains="203.0.113.", client=nameless(NameState.NOT_ASKED)) == ""
    assert rcpt(FAR, relay_domains="203.0.11", client=nameless(NameState.NOT_ASKED)) == NO_RELAY
    six = Client(address="2001:db8:1::9")
    assert rcpt(FAR, relay_domains="IPv6:2001:db8:1", client=six) == ""
    assert rcpt(FAR, "Connect:IPv6:2001:db8 RELAY\n", six) == ""
    assert rcpt(FAR, "Connect:203.0.113 OK\n", nameless(NameState.NOT_ASKED)) == NO_RELAY


def test_an_address_of_our_own_may_send():
    assert rcpt(FAR, "", nameless(NameState.NONE, "192.0.2.1")) == ""


@pytest.mark.parametrize("name", ["ours.example", "pc.served.example", "x.named.example"])
def test_a_name_that_leads_back_may_let_a_client_pass(name):
    more = {"relay_domains": "served.example"}
    table = "Connect:named.example RELAY\n"
    assert rcpt(FAR, table, named(name), **more) == ""
    for state in (NameState.NONE, NameState.FORGED, NameState.UNRESOLVED, NameState.NOT_ASKED):
        client = Client(address="203.0.113.9", name=name, name_state=state)
        assert rcpt(FAR, table, client, **more) != ""


@pytest.mark.parametrize(
    ("state", "reply"),
    [
        (NameState.NOT_ASKED, NO_RELAY),
        (NameState.VERIFIED, NO_RELAY),
        (NameState.NONE, f"{NO_RELAY}. IP name lookup failed [203.0.113.9]"),
        (NameState.FORGED, f"{NO_RELAY}. IP name possibly forged [203.0.113.9]"),
        (
            NameState.UNRESOLVED,
            "450 4.4.0 Relaying temporarily denied. Cannot resolve PTR record for 203.0.113.9",
        ),
    ],
)
def test_the_reply_says_what_is_wrong_with_the_clients_name(state, reply):
    assert rcpt(FAR, "", nameless(state)) == reply


# --- the sender


def test_a_reverse_path_alone_lets_nothing_pass():
    assert rcpt(FAR, "From:a@b.example RELAY\n", sender="a@b.example") == NO_RELAY
    assert rcpt(FAR, sender="joe@ours.example") == NO_RELAY


def test_relay_local_from_believes_a_local_reverse_path():
    assert rcpt(FAR, sender="joe@ours.example", relay_local_from=True) == ""
    assert rcpt(FAR, sender="joe@far.example", relay_local_from=True) == NO_RELAY
    assert rcpt(FAR, sender="", relay_local_from=True) == NO_RELAY
    assert rcpt(FAR, sender="joe", relay_local_from=True) == NO_RELAY


def test_relay_mail_from_believes_one_that_the_table_names_with_its_tag():
    table = "From:a@b.example RELAY\nFrom:c.example RELAY\nd.example RELAY\n"
    address = {"relay_mail_from": RelayFrom.ADDRESS}
    domain = {"relay_mail_from": RelayFrom.DOMAIN}
    assert rcpt(FAR, table, sender="a+x@b.example", **address) == ""
    assert rcpt(FAR, table, sender="x@c.example", **address) == NO_RELAY
    assert rcpt(FAR, table, sender="x@sub.c.example", **domain) == ""
    assert rcpt(FAR, table, sender="x@d.example", **domain) == NO_RELAY
    assert rcpt(FAR, table, sender="x@sub.c.example", relay_hosts_only=True, **domain) == NO_RELAY


def test_the_decision_says_why():
    def why(client, address=FAR, **more):
        found = gate("Connect:203 RELAY\n", client, relay_domains="# x\nserved.example\n", **more)
        return [str(step) for step in found.check_rcpt("a@b.example", address).trail]

    assert why(Client(address="127.0.0.1"))[-1] == "client 127.0.0.1: this machine"
    trusted = Client(address="192.168.1.7", is_trusted=True)
    assert why(trusted)[-1] == "client 192.168.1.7: in a network we serve"
    assert why(STRANGER)[-2:] == [
        "client 203.0.113.9: in no network we serve",
        "access connect:203: RELAY (access:1)",
    ]
    assert why(STRANGER, "joe@ours.example")[-1] == "is ours.example ours: yes"
    assert why(STRANGER, "x@served.example")[-1] == (
        "relay-domains: served.example (relay-domains:2)"
    )
