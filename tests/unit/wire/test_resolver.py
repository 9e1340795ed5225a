"""What the resolver makes of what name servers answer, and of those that do not."""

import asyncio

import pytest

from peers.processes import free_port
from peers.zone import ZoneServer
from relaynode.config.values import HostPort
from relaynode.errors import NameServerFailed
from relaynode.wire.resolver import Resolver, Settings, literal, system_addresses

RECORDS = {
    "MX": {"a.example": [(20, "B.a.example"), (10, "a.a.example")], "null.example": [(0, ".")]},
    "A": {"b.a.example": ["192.0.2.1", "192.0.2.2"], "four.example": "192.0.2.4"},
    "AAAA": {"b.a.example": "2001:db8::1"},
    "CNAME": {"alias.example": "next.example", "next.example": "b.a.example"},
    "TLSA": {"_25._tcp.b.a.example": [(3, 1, 1, b"\1" * 32)]},
}


@pytest.fixture
def zone():
    with ZoneServer({kind: dict(records) for kind, records in RECORDS.items()}) as server:
        yield server


def ask(zone, question, *arguments, seconds=5.0, validates=False):
    async def play():
        settings = Settings((HostPort("127.0.0.1", zone.port),), validates, seconds)
        return await getattr(Resolver(settings), question)(*arguments)

    return asyncio.run(play())


def test_mail_exchangers_come_as_they_are(zone):
    answer = ask(zone, "mail_exchangers", "a.example")
    assert sorted(answer.records) == [(10, "a.a.example"), (20, "b.a.example")]
    assert answer.exists and not answer.is_secure
    assert ask(zone, "mail_exchangers", "null.example").records == ((0, ""),)


def test_a_name_without_such_records_is_told_from_a_name_that_is_not(zone):
    assert ask(zone, "mail_exchangers", "four.example").exists
    assert ask(zone, "mail_exchangers", "four.example").records == ()
    assert not ask(zone, "mail_exchangers", "none.example").exists


def test_both_kinds_of_addresses_are_asked_for(zone):
    records = ask(zone, "addresses", "b.a.example").records
    assert records[0] == "2001:db8::1"
    assert sorted(records[1:]) == ["192.0.2.1", "192.0.2.2"]  # in any order, as servers do it
    assert ask(zone, "addresses", "four.example").records == ("192.0.2.4",)


@pytest.mark.parametrize("follows", [True, False])
def test_aliases_are_followed_whoever_does_it(zone, follows):
    zone.follows = follows
    answer = ask(zone, "addresses", "alias.example")
    assert "192.0.2.1" in answer.records
    assert answer.name == "b.a.example"


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("length", [2, 30])
def test_aliases_that_do_not_end_are_named(zone, follows, length):
    zone.follows = follows
    names = [f"n{number}.example" for number in range(length)]
    zone.records["CNAME"] = dict(zip(names, [*names[1:], names[0]], strict=True))
    with pytest.raises(NameServerFailed, match="CNAMEs") as caught:
        ask(zone, "mail_exchangers", "n0.example")
    assert not caught.value.is_silent


def test_an_answer_that_is_cut_is_fetched_over_tcp(zone):
    zone.truncates = True
    assert len(ask(zone, "mail_exchangers", "a.example").records) == 2
    assert [over for _, _, over in zone.questions] == ["udp", "tcp"]


def test_a_server_that_fails_and_one_that_is_silent_are_told_apart(zone):
    zone.failing.add("a.example")
    with pytest.raises(NameServerFailed, match=r"MX of a\.example: .*SERVFAIL") as caught:
        ask(zone, "mail_exchangers", "a.example")
    assert not caught.value.is_silent
    zone.silent.add("b.example")
    with pytest.raises(NameServerFailed, match=r"MX of b\.example: no name server") as caught:
        ask(zone, "mail_exchangers", "b.example", seconds=0.05)
    assert caught.value.is_silent


def test_an_answer_that_is_none_is_not_believed(zone):
    zone.garbled.add("a.example")
    with pytest.raises(NameServerFailed, match=r"MX of a\.example: no name server"):
        ask(zone, "mail_exchangers", "a.example", seconds=0.1)


def test_the_second_server_is_asked_when_the_first_is_not_there(zone):
    async def play():
        servers = (HostPort("127.0.0.1", free_port()), HostPort("127.0.0.1", zone.port))
        return await Resolver(Settings(servers, seconds=0.6)).mail_exchangers("a.example")

    assert len(asyncio.run(play()).records) == 2


def test_one_kind_of_address_is_enough_when_the_other_fails(zone, monkeypatch):
    original = zone._answer

    def only_four(wire, over):
        zone.failing = {"b.a.example"} if b"\x00\x1c\x00\x01" in wire else set()
        return original(wire, over)

    monkeypatch.setattr(zone, "_answer", only_four)
    assert set(ask(zone, "addresses", "b.a.example").records) == {"192.0.2.1", "192.0.2.2"}


def test_an_answer_is_secure_if_server_and_configuration_say_so(zone):
    zone.is_secure = True
    assert ask(zone, "tlsa", "b.a.example", 25, validates=True).is_secure
    assert not ask(zone, "tlsa", "b.a.example", 25).is_secure
    assert ask(zone, "tlsa", "none.example", 25, validates=True).is_secure
    zone.insecure.add("b.a.example")
    assert not ask(zone, "addresses", "alias.example", validates=True).is_secure


def test_tlsa_records_come_as_they_are(zone):
    assert ask(zone, "tlsa", "b.a.example", 25).records == ((3, 1, 1, b"\1" * 32),)
    assert ask(zone, "tlsa", "b.a.example", 2525).records == ()


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example", "\udcff.example"])
def test_a_name_that_dns_cannot_hold_is_named(zone, name):
    with pytest.raises(NameServerFailed):
        ask(zone, "mail_exchangers", name)


def test_a_machine_without_name_servers_has_its_hosts_file(monkeypatch):
    import dns.asyncresolver
    import dns.resolver

    def no_configuration(self, *_, **__):
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver.Resolver, "__init__", no_configuration)

    async def play():
        resolver = Resolver()
        assert (await resolver.mail_exchangers("localhost")).records == ()
        assert "127.0.0.1" in (await resolver.addresses("localhost")).records

    asyncio.run(play())


def test_settings_of_the_system_that_mean_nothing_are_named(monkeypatch):
    import io

    import dns.asyncresolver

    original = dns.asyncresolver.Resolver

    def broken():
        return original(io.StringIO("nameserver nonsense\n"))

    monkeypatch.setattr(dns.asyncresolver, "Resolver", broken)
    with pytest.raises(NameServerFailed, match=r"resolv\.conf: .*nonsense"):
        Resolver()


def test_the_systems_own_way_knows_localhost():
    assert "127.0.0.1" in asyncio.run(system_addresses("localhost")).records


def test_an_address_is_known_as_such():
    assert literal("192.0.2.1") == "192.0.2.1"
    assert literal("IPv6:2001:DB8::1") == literal("2001:db8::1") == "2001:db8::1"
    assert literal("mx.example") is None
