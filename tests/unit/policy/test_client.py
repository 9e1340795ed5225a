"""What is known of an SMTP client."""

import pytest

from relaynode.policy.client import Client, NameState


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]
)
def test_this_machine_is_known_in_all_its_clothes(address):
    assert Client(address=address).is_here


@pytest.mark.parametrize("address", ["192.0.2.7", "::127.0.0.1", "fe80::1%eth0", "0.0.0.0"])
def test_others_are_not_this_machine(address):
    assert not Client(address=address).is_here


def test_a_local_user_is_this_machine_wherever_he_seems_to_be():
    assert Client(address="192.0.2.7", is_local_user=True).is_here


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "IPv6:2001:db8:0:0:0:0:0:1"),
        ("fe80::a%eth0", "IPv6:fe80:0:0:0:0:0:0:a"),
    ],
)
def test_addresses_are_written_as_tables_have_them(address, key):
    assert Client(address=address).key == key
    assert Client(address=address).literal == f"[{key}]"


@pytest.mark.parametrize("state", [state for state in NameState if state != NameState.VERIFIED])
def test_a_name_counts_only_if_it_leads_back(state):
    client = Client(address="192.0.2.7", name="pc.example", name_state=state)
    assert client.verified_name == "[192.0.2.7]"


def test_a_verified_name_is_its_name():
    client = Client(address="192.0.2.7", name="pc.example", name_state=NameState.VERIFIED)
    assert client.verified_name == "pc.example"
