"""Who may send where: nobody relays through us but this machine and the networks we serve."""

import pytest

from relaynode.config.values import Network
from relaynode.policy.expand import Expander
from relaynode.policy.relay import may_relay
from relaynode.policy.route import Routing
from relaynode.tables.aliases import parse_aliases
from relaynode.tables.mailertable import parse_mailertable

LAN = [Network.parse("192.168.1.0/24"), Network.parse("2001:db8:1::/48")]
ROUTING = Routing(
    frozenset({"ours.example", "localhost"}),
    parse_mailertable("", "mailertable")[0],
    ("isp", "relay.example.net"),
)
STRANGER = "203.0.113.9"
FAR = "friend@far.example"


def permission(client, address=FAR, networks=LAN):
    return may_relay(client, networks, address, ROUTING)


@pytest.mark.parametrize(
    "client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]
)
def test_this_machine_may_always_send(client):
    assert permission(client, networks=[]).is_allowed


@pytest.mark.parametrize(
    "client",
    ["192.168.1.7", "::ffff:192.168.1.7", "2001:db8:1::7", "2001:DB8:1:0::7%eth0"],
)
def test_a_network_we_serve_may_send_also_in_ipv6_clothes(client):
    assert permission(client).is_allowed


@pytest.mark.parametrize(
    "client",
    [STRANGER, "192.168.2.7", "::ffff:192.168.2.7", "2001:db8:2::7", "fe80::1%eth0", "0.0.0.0"],
)
def test_strangers_may_not(client):
    assert not permission(client).is_allowed


def test_an_ipv4_compatible_address_is_not_an_ipv4_address():
    assert not permission("::192.168.1.7").is_allowed
    assert not permission("::127.0.0.1").is_allowed


def test_without_networks_only_this_machine_may():
    assert not permission("192.168.1.7", networks=[]).is_allowed


@pytest.mark.parametrize("address", ["joe@ours.example", "joe@OURS.example.", "joe", "joe@"])
def test_mail_for_us_is_taken_from_anybody(address):
    assert permission(STRANGER, address).is_allowed


@pytest.mark.parametrize(
    "address",
    [
        FAR,
        "joe@sub.ours.example",
        "joe@ours.example.far.example",
        "joe@[203.0.113.1]",
        "joe@[127.0.0.1]",
        '"joe@ours.example"@far.example',
        "joe%ours.example@far.example",
        "ours.example!joe@far.example",
    ],
)
def test_mail_for_others_is_not_taken_from_strangers(address):
    assert not permission(STRANGER, address).is_allowed


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
        "friend@far.example%ours.example@ours.example",
        "far.example!friend%ours.example@ours.example",
        '"far.example!friend"@ours.example',
        "@far.example:friend@ours.example",
    ],
)
def test_no_trick_of_writing_leads_a_strangers_mail_out_again(address):
    """What is accepted as ours never has a route that leaves this machine."""
    assert permission(STRANGER, address).is_allowed
    assert ROUTING.route(address).route.mailer == "local"
    nobody = Expander(ROUTING, parse_aliases("", "aliases")[0], lambda name: False)
    expansion = nobody.expand(address)
    assert expansion.recipients == ()
    assert expansion.refusal.is_permanent


def test_the_decision_says_why():
    def why(client, address=FAR):
        return [str(step) for step in permission(client, address).trail]

    assert why("127.0.0.1") == ["client 127.0.0.1: this machine"]
    assert why("192.168.1.7") == ["client 192.168.1.7: in a network we serve"]
    assert why(STRANGER) == [f"client {STRANGER}: in no network we serve"]
    assert why(STRANGER, "joe@ours.example") == ["is ours.example ours: yes"]
    assert why(STRANGER, "joe") == ["is no domain ours: yes"]
