"""Which way mail takes: smart hosts with fallbacks, by sender, by table, by domain."""

import asyncio
import socket

import pytest

from nodes import TestNode
from relaynode.links.ways import Way
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mail.status import Status
from relaynode.wire.meter import ByteCount

HOSTS = """
[link.isp]
[link.phone]
[smart_host.isp]
host = ["relay.example.net:587", "relay2.example.net"]
link = "isp"
tls = "none"
[smart_host.backup]
host = "backup.example.org"
link = "phone"
tls = "none"
[smart_host.work]
host = "mail.work.example:587"
tls = "none"
"""
BOTH = 'smart_host = ["isp", "backup"]'


def node(tmp_path, sections=HOSTS, node_keys=BOTH, **tables):
    return TestNode(tmp_path, sections, node_keys=node_keys, tables=tables).open()


def way(node, address="x@far.example", sender="user@bsd.home"):
    route = node.rules.routing.route(address).route
    return node.parts.ways.way_of(route, sender)


def hops(node, way):
    return asyncio.run(node.parts.ways._next_hops(way, ByteCount()))


def test_all_smart_hosts_are_tried_in_order_with_all_their_hosts(tmp_path):
    one = node(tmp_path)
    assert way(one).smart_hosts == ("isp", "backup")
    assert [hop.name for hop in hops(one, way(one))] == [
        "relay.example.net",
        "relay2.example.net",
        "backup.example.org",
    ]


@pytest.mark.parametrize(
    ("up", "names", "link"),
    [
        ({"isp", "phone"}, ("isp", "backup"), "isp"),
        ({"isp"}, ("isp",), "isp"),
        ({"phone"}, ("backup",), "phone"),
        (set(), ("isp",), "isp"),
    ],
)
def test_a_smart_host_behind_a_line_that_is_down_is_passed_over(tmp_path, up, names, link):
    one = node(tmp_path)
    one.parts.ways.note_links(up)
    assert way(one).smart_hosts == names
    assert one.parts.ways.link_of(way(one)) == link


@pytest.mark.parametrize(
    ("recipients", "stays"),
    [
        (["x@far.example"], False),
        (["user@bsd.home"], True),
        (["x@far.example", "user"], True),
        (["nobody.here@bsd.home"], True),
    ],
)
def test_what_needs_no_link_stays_here(tmp_path, recipients, stays):
    one = node(tmp_path)
    envelope = Envelope("user@bsd.home", tuple(map(Recipient, recipients)))
    assert one.parts.ways.stays_here(envelope, one.rules.routing) == stays


def test_the_links_are_looked_at_as_a_run_begins(tmp_path):
    one = node(tmp_path)

    async def play():
        await one.store.set_link("phone", True, 0.0)
        await one.links.run_due("phone")

    asyncio.run(play())
    assert way(one).smart_hosts == ("backup",)


def test_without_any_smart_host_the_domain_says_where(tmp_path):
    one = node(tmp_path, node_keys="smart_host = []")
    assert way(one) == Way("smtp", "far.example", "esmtp", is_domain=True)
    assert one.parts.ways.link_of(way(one)) == "isp"
    assert way(one, "x@[192.0.2.1]").name == "[192.0.2.1]"


def test_a_table_that_names_a_smart_hosts_address_means_it_with_its_login(tmp_path):
    one = node(tmp_path, mailertable="far.example relay:backup.example.org\n")
    assert way(one).smart_hosts == ("backup",)


def test_a_host_that_is_called_like_a_smart_host_is_another(tmp_path):
    one = node(tmp_path, mailertable="far.example esmtp:isp\n")
    assert way(one) == Way("smtp", "isp", "esmtp")
    assert one.parts.ways.host_of(way(one)) == "isp"


SENDERS = (
    HOSTS
    + """
[sender."Boss@example.net"]
smart_host = "work"
[sender."@example.org"]
smart_host = ["work", "isp"]
"""
)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("boss@example.net", ("work",)),
        ("boss+tag@example.net", ("work",)),
        ("other@example.net", ("isp", "backup")),
        ("anybody@Example.org", ("work", "isp")),
        ("", ("isp", "backup")),
    ],
)
@pytest.mark.parametrize("keys", [BOTH, "smart_host = []"])
def test_a_sender_may_have_a_smart_host_of_its_own(tmp_path, sender, expected, keys):
    one = node(tmp_path, SENDERS, keys)
    if keys != BOTH and expected == ("isp", "backup"):
        expected = ()
    assert way(one, sender=sender).smart_hosts == expected


def test_the_sender_counts_as_it_goes_out_and_as_it_was_queued(tmp_path):
    masquerade = '[masquerade]\nas = "example.org"\nenvelope = true\n'
    one = node(tmp_path, SENDERS + masquerade)
    assert way(one, sender="user@bsd.home").smart_hosts == ("work", "isp")
    queued = HOSTS + masquerade + '[sender."user@bsd.home"]\nsmart_host = "work"\n'
    assert way(node(tmp_path / "b", queued), sender="user@bsd.home").smart_hosts == ("work",)


def test_what_a_table_sends_elsewhere_is_nobodys_sender_mail(tmp_path):
    one = node(tmp_path, SENDERS, mailertable="far.example esmtp:[10.0.0.1]\n")
    assert way(one, sender="boss@example.net").name == "[10.0.0.1]"
    table = "far.example relay:relay.example.net:587\n"
    explicit = node(tmp_path / "b", SENDERS, mailertable=table)
    assert way(explicit, sender="boss@example.net").smart_hosts == ("isp",)


def test_a_link_says_which_address_to_call_from(tmp_path):
    accepted = []

    async def serve(reader, writer):
        accepted.append(writer.get_extra_info("peername")[0])
        writer.close()

    async def play():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sections = (
            '[link.isp]\nsource_address = ["127.0.0.77", "::1"]\n'
            f'[smart_host.isp]\nhost = "127.0.0.1:{port}"\nlink = "isp"\ntls = "none"\n'
        )
        table = f"far.example esmtp:[127.0.0.1]:{port}\nother.example esmtp:[localhost]:{port}\n"
        one = node(tmp_path, sections, "", mailertable=table)
        for address in ("x@default.example", "x@far.example", "x@other.example"):
            for hop in await one.parts.ways._next_hops(way(one, address), ByteCount()):
                if hop.name != "localhost" or not socket.has_ipv6:
                    stream = await hop.open()
                    await stream.read(10)
                    stream.abort()
        server.close()

    asyncio.run(play())
    assert set(accepted) == {"127.0.0.77"} and len(accepted) >= 2


def test_our_own_listener_is_known_as_ours(tmp_path):
    sections = '[listen.lan]\nsmtp = ["0.0.0.0:25", "[::1]:2525"]\nnetworks = ["10.0.0.0/8"]\n'
    ways = node(tmp_path, sections, "").parts.ways
    assert ways._is_our_address("127.0.0.1", 25)
    assert not ways._is_our_address("192.0.2.1", 25)
    assert not ways._is_our_address("127.0.0.1", 26)
    assert ways._is_our_address("::1", 2525)
    assert not ways._is_our_address("::1", 25)


def test_the_way_is_told_without_the_network(tmp_path, monkeypatch):
    def refuse(*arguments, **_):
        raise AssertionError(f"asked for {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    one = node(tmp_path, mailertable="far.example esmtp:gw.example\n")
    told = one.parts.ways.told
    assert told(way(one)) == "MX of gw.example, asked at delivery"
    assert told(way(one, "x@elsewhere.example")) == (
        "smart host isp (relay.example.net:587, relay2.example.net), "
        "then smart host backup (backup.example.org)"
    )
    assert told(way(one, "user@bsd.home")) == ""


def test_no_hop_is_a_status(tmp_path, monkeypatch):
    async def find(self, text, *, is_domain):
        return Status(556, "5.1.10", "null")

    monkeypatch.setattr("relaynode.links.far_hosts.FarHosts.find", find)
    one = node(tmp_path, node_keys="smart_host = []")
    assert hops(one, way(one)).code == 556


def test_only_a_host_that_a_table_names_is_shown_a_login_of_tables(tmp_path):
    one = node(tmp_path, "", "", mailertable="far.example esmtp:[127.0.0.1]\n")
    (named,) = hops(one, way(one))
    assert named.login is one.parts.ways.logins.of_tables
    (anybodys,) = hops(one, way(one, "x@[127.0.0.2]"))
    assert anybodys.login is None
