"""Who a client is, and what the DNS is asked: never more than the configuration wants."""

import asyncio
import threading

import pytest

from nodes import TestNode
from relaynode.config.values import Network
from relaynode.errors import ConnectFailed
from relaynode.policy.access_rules import Existence
from relaynode.policy.client import Client, NameState
from relaynode.queue.memory import MemoryStore
from relaynode.sources import smtp_gate
from relaynode.sources.smtp_gate import AskedDomains, Gatekeeper, client_name, unmapped


class Names:
    """A name server. `names`: by address; `hosts`: addresses by name; None is a failure."""

    def __init__(self, names=None, hosts=None, exchangers=None):
        self.names, self.hosts, self.exchangers = names or {}, hosts or {}, exchangers or {}
        self.asked = []

    def name_of(self, address):
        return self._answer("PTR", address, self.names, "") or None

    def addresses(self, name):
        return frozenset(self._answer("A", name, self.hosts, ()))

    def mail_exchangers(self, domain):
        return self._answer("MX", domain, self.exchangers, ())

    def _answer(self, kind, name, known, absent):
        self.asked.append((kind, name))
        answer = known.get(name, absent)
        if answer is None:
            raise ConnectFailed(f"{name}: server failure")
        return answer


def gatekeeper(tmp_path, dns, sections="", tables=None, **more):
    node = TestNode(tmp_path, sections, tables=tables).open(store=MemoryStore(tmp_path / "s"))
    more.setdefault("networks", [Network.parse("192.168.1.0/24")])
    return Gatekeeper(node.rules, dns=dns, **more)


@pytest.mark.parametrize(
    ("dns", "found"),
    [
        (Names(), ("", NameState.NONE)),
        (Names({"192.0.2.7": None}), ("", NameState.UNRESOLVED)),
        (Names({"192.0.2.7": "a"}), ("a", NameState.FORGED)),
        (Names({"192.0.2.7": "a"}, {"a": ["192.0.2.8"]}), ("a", NameState.FORGED)),
        (Names({"192.0.2.7": "a"}, {"a": None}), ("", NameState.UNRESOLVED)),
        (Names({"192.0.2.7": "a"}, {"a": ["::1", "192.0.2.7"]}), ("a", NameState.VERIFIED)),
        (Names({"192.0.2.7": "a"}, {"a": ["::ffff:192.0.2.7"]}), ("a", NameState.VERIFIED)),
    ],
)
def test_a_name_is_verified_if_it_leads_back(dns, found):
    assert client_name(dns, "192.0.2.7") == found


def test_ipv6_names_lead_back_however_the_address_is_written():
    dns = Names({"2001:db8::1": "a"}, {"a": ["2001:DB8:0::1"]})
    assert client_name(dns, "2001:db8::1") == ("a", NameState.VERIFIED)


def test_names_are_looked_up_only_if_that_is_wanted(tmp_path):
    dns = Names({"192.0.2.7": "a"}, {"a": ["192.0.2.7"]})
    keeper = gatekeeper(tmp_path, dns)
    client = asyncio.run(keeper.identify("192.0.2.7", ""))
    assert (client.name_state, dns.asked) == (NameState.NOT_ASKED, [])
    keeper.looks_up_clients = True
    client = asyncio.run(keeper.identify("::ffff:192.0.2.7", ""))
    assert client == Client(address="192.0.2.7", name="a", name_state=NameState.VERIFIED)


def test_the_networks_we_serve_are_trusted_and_local_users_are_here(tmp_path):
    keeper = gatekeeper(tmp_path, Names(), looks_up_clients=True)
    assert asyncio.run(keeper.identify("192.168.1.9", "")).is_trusted
    assert asyncio.run(keeper.identify("::ffff:192.168.1.9", "")).is_trusted
    assert not asyncio.run(keeper.identify("192.168.2.9", "")).is_trusted
    assert not asyncio.run(keeper.identify("fe80::1%eth0", "")).is_trusted
    assert asyncio.run(keeper.identify("127.0.0.1", "joe")).is_local_user


def test_a_dns_that_never_answers_does_not_keep_a_client_waiting(tmp_path, monkeypatch):
    go_on = threading.Event()

    class Silent(Names):
        def name_of(self, address):
            go_on.wait(30)

    monkeypatch.setattr(smtp_gate, "LOOK_UP_SECONDS", 0.01)
    keeper = gatekeeper(tmp_path, Silent(), looks_up_clients=True)
    try:
        client = asyncio.run(keeper.identify("192.0.2.7", ""))
    finally:
        go_on.set()
    assert client.name_state is NameState.UNRESOLVED


def test_a_check_that_waits_for_the_dns_in_vain_is_a_temporary_refusal(tmp_path, monkeypatch):
    go_on = threading.Event()

    class Silent(Names):
        def addresses(self, name):
            go_on.wait(30)
            return frozenset()

    monkeypatch.setattr(smtp_gate, "LOOK_UP_SECONDS", 0.01)
    sections = "[access]\naccept_unresolvable_domains = false\n"
    keeper = gatekeeper(tmp_path, Silent(), sections)
    client = Client(address="192.0.2.7")
    try:
        verdict = asyncio.run(keeper.check_mail(client, "a@b.example"))
    finally:
        go_on.set()
    assert (verdict.status.code, verdict.status.enhanced) == (451, "4.4.3")


def test_senders_domains_are_asked_for_only_if_that_is_wanted(tmp_path):
    dns = Names()
    client = Client(address="192.0.2.7")
    keeper = gatekeeper(tmp_path / "1", dns)
    assert asyncio.run(keeper.check_mail(client, "a@gone.example")).is_accepted
    assert dns.asked == []
    sections = "[access]\naccept_unresolvable_domains = false\n"
    keeper = gatekeeper(tmp_path / "2", dns, sections)
    assert asyncio.run(keeper.check_mail(client, "a@gone.example")).status.code == 553
    assert dns.asked == [("A", "gone.example"), ("MX", "gone.example")]


def test_relay_based_on_mx_asks_for_the_recipients_domain(tmp_path):
    dns = Names(exchangers={"served.example": ("bsd.home",)})
    keeper = gatekeeper(tmp_path, dns, "[access]\nrelay_based_on_mx = true\n")
    client = Client(address="192.0.2.7")
    assert asyncio.run(keeper.check_rcpt(client, "", "x@served.example")).is_accepted
    assert asyncio.run(keeper.check_rcpt(client, "", "x@far.example")).status.code == 550


@pytest.mark.parametrize(
    ("domain", "dns", "existence"),
    [
        ("a.example", Names(hosts={"a.example": ["192.0.2.7"]}), Existence.EXISTS),
        ("a.example", Names(exchangers={"a.example": ("mx",)}), Existence.EXISTS),
        ("a.example", Names(), Existence.MISSING),
        ("a.example", Names(hosts={"a.example": None}), Existence.UNKNOWN),
        ("a.example", Names(exchangers={"a.example": None}), Existence.UNKNOWN),
        ("[192.0.2.7]", Names({"192.0.2.7": "a"}), Existence.EXISTS),
        ("[192.0.2.7]", Names(), Existence.MISSING),
    ],
)
def test_a_domain_exists_if_it_has_an_address_or_a_mail_exchanger(domain, dns, existence):
    assert AskedDomains(dns).existence(domain) is existence


def test_mail_exchangers_that_cannot_be_looked_up_are_none():
    assert AskedDomains(Names(exchangers={"a": None})).mail_exchangers("a") is None
    assert AskedDomains(Names()).mail_exchangers("a") == ()


def test_a_table_that_cannot_be_read_is_a_temporary_refusal_never_a_pass(tmp_path):
    keeper = gatekeeper(tmp_path, Names())
    (tmp_path / "tables" / "access").mkdir()
    client = Client(address="127.0.0.1")
    for check in (
        keeper.check_relay(client),
        keeper.check_mail(client, "a@b.example"),
        keeper.check_rcpt(client, "a@b.example", "user"),
    ):
        status = asyncio.run(check).status
        assert str(status) == ("451 4.3.0 Temporary system failure. Please try again later.")


def test_a_mapped_address_is_unmapped():
    assert unmapped("::ffff:192.0.2.7") == "192.0.2.7"
    assert unmapped("::FFFF:c000:207") == "192.0.2.7"
    assert unmapped("2001:db8::1") == "2001:db8::1"


@pytest.mark.parametrize(
    ("recipient", "is_ours"),
    [
        ("anything@user.provider.example", True),
        ("anything@nosuchone.provider.example", False),
        ("user@provider.example", False),
        ("anything@a.user.provider.example", False),
    ],
)
def test_a_user_may_have_a_domain_below_ours(tmp_path, recipient, is_ours):
    keeper = gatekeeper(tmp_path, Names(), 'subdomains_of = ["provider.example"]\n')
    stranger = Client(address="203.0.113.9")
    verdict = asyncio.run(keeper.check_rcpt(stranger, "x@far.example", recipient))
    assert verdict.is_accepted is is_ours
