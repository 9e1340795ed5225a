"""From what a route names to addresses to call. What the DNS says is a script."""

import asyncio
import hashlib

import pytest

from relaynode.errors import NameServerFailed, TableError
from relaynode.links.far_hosts import Dane, FarHost, FarHosts
from relaynode.links.table_hosts import far_way
from relaynode.policy.dane import Tlsa
from relaynode.wire.resolver import Answer

RECORD = (3, 1, 1, hashlib.sha256(b"key").digest())


class Zone:
    """A resolver that answers out of tables. `failing`: what it cannot tell."""

    def __init__(self, mx=None, a=None, tlsa=None, failing=(), insecure=(), is_secure=False):
        self.mx, self.a, self.tlsa_records = mx or {}, a or {}, tlsa or {}
        self.failing, self.insecure, self.is_secure = failing, insecure, is_secure
        self.asked = []

    def _answer(self, kind, name, records, exists):
        self.asked.append((kind, name))
        if name in self.failing:
            raise NameServerFailed(f"{kind} of {name}: SERVFAIL")
        is_secure = self.is_secure and name not in self.insecure
        return Answer(tuple(records), name, exists, is_secure)

    async def mail_exchangers(self, name):
        exists = name in self.mx or name in self.a
        return self._answer("MX", name, self.mx.get(name, ()), exists)

    async def addresses(self, name):
        return self._answer("A", name, self.a.get(name, ()), name in self.a)

    async def tlsa(self, name, port):
        key = f"_{port}._tcp.{name}"
        return self._answer("TLSA", key, self.tlsa_records.get(key, ()), True)


def find(zone, text, *, is_domain=True, ours=(), asks_dns_for_hosts=True, port=25):
    far_hosts = FarHosts(
        zone,
        port,
        {"us.example"}.__contains__,
        lambda address, at: (address, at) in ours,
        lambda equals: equals.sort(key=str),
        asks_dns_for_hosts=asks_dns_for_hosts,
    )
    return asyncio.run(far_hosts.find(text, is_domain=is_domain))


TWO = Zone(
    mx={"a.example": [(20, "two.example"), (10, "one.example")]},
    a={"one.example": ["192.0.2.1"], "two.example": ["192.0.2.2", "2001:db8::2"]},
)


def test_the_exchangers_of_a_domain_come_in_order_with_their_addresses():
    assert find(TWO, "a.example") == [
        FarHost("one.example", "192.0.2.1"),
        FarHost("two.example", "2001:db8::2"),
        FarHost("two.example", "192.0.2.2"),
    ]


def test_a_port_holds_for_all_exchangers():
    assert {one.port for one in find(TWO, "a.example:2525", is_domain=False)} == {2525}


def test_brackets_mean_the_host_itself():
    zone = Zone(mx={"h.example": [(1, "one.example")]}, a={"h.example": ["192.0.2.9"]})
    assert find(zone, "[h.example]:26", is_domain=False) == [FarHost("h.example", "192.0.2.9", 26)]
    assert ("MX", "h.example") not in zone.asked


@pytest.mark.parametrize(
    "text", ["[192.0.2.5]", "192.0.2.5", "[IPv6:2001:db8::5]", "[2001:db8::5]"]
)
def test_an_address_is_called_without_asking(text):
    zone = Zone()
    (found,) = find(zone, text)
    assert found.address in ("192.0.2.5", "2001:db8::5")
    assert zone.asked == []


def test_no_name_server_is_asked_for_localhost():
    zone = Zone()
    found = find(zone, "localhost:2525", is_domain=False)
    assert "127.0.0.1" in [one.address for one in found]
    assert zone.asked == []


def test_a_list_of_a_table_is_tried_from_left_to_right():
    zone = Zone(a={"one.example": ["192.0.2.1"], "two.example": ["192.0.2.2"]})
    found = find(zone, "[two.example]:nobody.example:one.example", is_domain=False)
    assert [one.name for one in found] == ["two.example", "one.example"]


def test_a_domain_that_is_not_there_is_final_and_a_table_that_names_one_is_mended():
    status = find(Zone(), "none.example")
    assert str(status) == "550 5.1.2 none.example: there is no such domain"
    waits = find(Zone(), "none.example", is_domain=False)
    assert waits.is_temporary and waits.enhanced == "4.4.4"


def test_a_null_mx_is_final_for_the_domain_alone():
    zone = Zone(mx={"a.example": [(0, "")]})
    assert find(zone, "a.example").code == 556
    assert find(zone, "a.example", is_domain=False).is_temporary


def test_a_host_that_only_the_system_knows_is_found_all_the_same(monkeypatch):
    async def from_hosts_file(host):
        return Answer(("192.168.1.5",), host)

    monkeypatch.setattr("relaynode.links.far_hosts.system_addresses", from_hosts_file)
    found = find(Zone(), "mailhub", is_domain=False, asks_dns_for_hosts=False)
    assert found == [FarHost("mailhub", "192.168.1.5")]


@pytest.mark.parametrize("failing", [["a.example"], ["one.example", "two.example"]])
def test_what_the_dns_cannot_tell_makes_mail_wait(failing):
    with pytest.raises(NameServerFailed, match="SERVFAIL"):
        find(Zone(TWO.mx, TWO.a, failing=failing), "a.example")


def test_a_host_that_the_dns_cannot_tell_leaves_the_others():
    (found,) = find(
        Zone(TWO.mx, {"one.example": ["192.0.2.1"]}, failing=["two.example"]), "a.example"
    )
    assert found.name == "one.example"


def test_we_are_known_by_name_and_by_what_we_listen_on():
    by_name = Zone(mx={"a.example": [(1, "us.example"), (2, "one.example")]}, a=TWO.a)
    assert find(by_name, "a.example").enhanced == "4.3.5"
    assert find(TWO, "a.example", ours={("192.0.2.1", 25)}).enhanced == "4.3.5"
    (best,) = find(TWO, "a.example", ours={("192.0.2.2", 25)})
    assert best.name == "one.example"
    assert len(find(TWO, "a.example", ours={("192.0.2.1", 2525)})) == 3


def test_a_broken_entry_is_the_tables():
    with pytest.raises(TableError, match="next hop"):
        find(Zone(), "[one.example", is_domain=False)


@pytest.mark.parametrize("domain", ["[one.example", "[192.0.2.1]:99999", "a b"])
def test_a_domain_that_can_be_no_host_is_final(domain):
    assert find(Zone(), domain).enhanced == "5.1.2"


# --- DANE


def secure(**more):
    tables = {"mx": {"a.example": [(1, "one.example")]}, "a": {"one.example": ["192.0.2.1"]}}
    return Zone(**{**tables, "is_secure": True, **more})


KEY = "_25._tcp.one.example"


def dane_of(zone, **options):
    return [one.dane for one in find(zone, "a.example", **options)]


def test_a_record_that_can_be_believed_is_demanded():
    zone = secure(tlsa={KEY: [RECORD, (0, 0, 1, bytes(32))]})
    (dane,) = dane_of(zone)
    assert dane == Dane((Tlsa(*RECORD),), ("one.example", "a.example"))


def test_the_record_is_that_of_the_port():
    zone = secure(tlsa={"_2525._tcp.one.example": [RECORD]})
    assert dane_of(zone) == [None]
    (dane,) = dane_of(zone, port=2525)
    assert dane is not None


@pytest.mark.parametrize("insecure", [["a.example"], ["one.example"], [KEY]])
def test_what_was_not_validated_demands_nothing(insecure):
    zone = secure(tlsa={KEY: [RECORD]}, insecure=insecure)
    assert dane_of(zone) == [None]


def test_records_that_mean_nothing_demand_tls_with_anybody():
    (dane,) = dane_of(secure(tlsa={KEY: [(1, 0, 1, bytes(32))]}))
    assert dane.records == ()


def test_an_authority_can_be_checked_only_with_the_extra(monkeypatch):
    zone = secure(tlsa={KEY: [(2, 0, 1, bytes(32))]})
    (dane,) = dane_of(zone)
    assert len(dane.records) == 1
    monkeypatch.setattr("relaynode.links.far_hosts.can_vouch", lambda: False)
    (dane,) = dane_of(zone)
    assert dane.records == ()


def test_a_host_whose_record_cannot_be_had_is_left_out():
    zone = secure(
        mx={"a.example": [(1, "one.example"), (2, "two.example")]}, a=TWO.a, failing=[KEY]
    )
    assert {one.name for one in find(zone, "a.example")} == {"two.example"}
    with pytest.raises(NameServerFailed, match="TLSA"):
        find(secure(failing=[KEY]), "a.example")


def test_without_a_server_that_validates_nobody_asks_for_records():
    zone = secure(tlsa={KEY: [RECORD]}, is_secure=False)
    assert dane_of(zone) == [None]
    assert not [name for kind, name in zone.asked if kind == "TLSA"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.example", "MX of a.example, asked at delivery"),
        ("[h.example]:26", "host h.example:26 by its addresses"),
        ("[192.0.2.1]", "address 192.0.2.1"),
        ("h1.example:[h2]", "MX of h1.example, asked at delivery, then host h2 by its addresses"),
    ],
)
def test_the_way_can_be_told_without_asking(text, told):
    assert far_way(text) == told
