"""What is found for one ordinary address of a domain holds for all of them: never another answer
than the rules give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.mail.envelope import Recipient
from relaynode.policy.expand import Expander, LocalNameRules, decide, final_route, known_route
from relaynode.policy.mailer_forms import KINDS
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.policy.ordinary import PROBE, ordinary
from relaynode.policy.rewrite import rewrite, rewritten
from relaynode.policy.role import Role
from relaynode.policy.route import Routing
from relaynode.policy.routing_settings import Relays
from relaynode.tables.aliases import parse_aliases
from relaynode.tables.genericstable import parse_genericstable
from relaynode.tables.mailertable import Mailertable, parse_mailertable
from relaynode.tables.virtusertable import parse_virtusertable

NAMES = Names(
    hostname="bsd.home",
    local=frozenset({"bsd.home", "localhost", "alias.example"}),
    masqueraded=frozenset({"hidden.example"}),
    masqueraded_entire=True,
    generic=frozenset({"generic.example"}),
)
LOCALS = ["root", "ann", PROBE, "a.b_c.9", "postmaster", "ann+x", "a%b", "x!y", "|cat", '"q q"']
DOMAINS = [
    "bsd.home",
    "alias.example",
    "sub.hidden.example",
    "generic.example",
    "far.example",
    "in.table.example",
    "refused.example",
    "given.example",
    "here.example",
    "old.uucp",
    "a.b.c.example",
    "FAR.example",
    "far.example.",
    "[192.0.2.1]",
    "far",
]
MAILERTABLE = """\
.table.example\tesmtp:hub.example
refused.example\terror:5.7.1:550 closed
given.example\tesmtp:other@hub.example
here.example\tlocal:user
old.uucp\tuucp-dom:old
.c.example\tsmtp:%1.relay.example
"""
ADDRESSES = st.builds("{}@{}".format, st.sampled_from(LOCALS), st.sampled_from(DOMAINS))


def mailertable() -> Mailertable:
    table, problems = parse_mailertable(MAILERTABLE, "mailertable")
    assert problems == []
    return table


def routings() -> list[Routing]:
    far = Relays(smart_host="relay:smart.example", uucp_relay="uucp-dom:hub")
    virtual = parse_virtusertable("ann@far.example\tbob@else.example\n", "virtusertable")[0]
    return [
        Routing(names=NAMES),
        Routing(names=NAMES, mailertable=mailertable(), relays=far, smart_host_name="isp"),
        Routing(names=NAMES, mailertable=mailertable(), neighbours={"old": "uucp-uudom"}),
        Routing(names=NAMES, virtusertable=virtual, relays=far, local_users=frozenset({"root"})),
    ]


def masquerades() -> list[Masquerade]:
    generic = parse_genericstable("ann\tann@world.example\n", "genericstable")[0]
    hidden = {"as_domain": "world.example", "all_headers": True, "envelope": True}
    return [
        Masquerade(names=NAMES),
        Masquerade(names=NAMES, **hidden, exposed_users=frozenset({"root"})),
        Masquerade(names=NAMES, **hidden, genericstable=generic),
        Masquerade(names=NAMES, **hidden, always_add_domain=True, uucp_relay="hub"),
    ]


ROUTINGS, MASQUERADES = routings(), masquerades()


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(range(len(ROUTINGS))), st.lists(ADDRESSES, min_size=1, max_size=4))
def test_a_route_is_that_of_the_rules(which: int, addresses: list[str]) -> None:
    for address in addresses:
        recipient = Recipient(address)
        assert final_route(ROUTINGS[which], recipient) == decide(ROUTINGS[which], recipient).route


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(range(len(ROUTINGS))), st.lists(ADDRESSES, min_size=1, max_size=4))
def test_a_route_that_is_known_is_that_of_the_rules(which: int, addresses: list[str]) -> None:
    for address in addresses:
        route = ROUTINGS[which].route(address).route
        assert known_route(ROUTINGS[which], address) == route


class Nobody:
    """A machine whose users are not asked for: what stands for itself is none of them."""

    def is_user(self, name: str) -> bool:
        raise AssertionError(name)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(range(len(ROUTINGS))), st.sampled_from(DOMAINS))
def test_what_stands_for_itself_is_what_expanding_gives(which: int, domain: str) -> None:
    aliases = parse_aliases("ann: x@y.example\n", "aliases")[0]
    expander = Expander(ROUTINGS[which], aliases, Nobody())  # type: ignore[arg-type]
    address = f"ann@{domain}"
    plain = expander.expand_plain(address)
    if plain is not None:
        expansion = expander.expand(address)
        assert (expansion.recipients, expansion.refusal) == ((plain,), None)


def test_most_addresses_of_others_stand_for_themselves() -> None:
    aliases = parse_aliases("", "aliases")[0]
    expander = Expander(ROUTINGS[1], aliases, Nobody())  # type: ignore[arg-type]
    assert expander.expand_plain("ann@far.example") == Recipient("ann@far.example")
    for other in ("ann@here.example", "ann@old.uucp", "ann@bsd.home", "ann@refused.example"):
        assert expander.expand_plain(other) is None
    names = LocalNameRules(subdomains_of=frozenset({"example"}))
    below = Expander(ROUTINGS[1], aliases, Nobody(), names)  # type: ignore[arg-type]
    assert below.expand_plain("ann@far.example") is None


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(range(len(MASQUERADES))),
    st.lists(ADDRESSES, min_size=1, max_size=4),
    st.sampled_from(Role),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["", "old", "hub.example"]),
)
def test_an_address_is_written_as_the_rules_write_it(
    which: int, addresses: list[str], role: Role, mailer: str, host: str
) -> None:
    masq = MASQUERADES[which]
    for address in addresses:
        slow = rewrite(masq, address, role, mailer=mailer, host=host).result
        assert rewritten(masq, address, role, mailer=mailer, host=host) == slow


@pytest.mark.parametrize(
    "address",
    [
        "ann",
        "ann+x@far.example",
        "a%b@far.example",
        "x!y@far.example",
        "ann@far",
        "ann@[192.0.2.1]",
        "Ann@far.example",
        "ann@far.example.",
        '"a"@far.example',
        "a..b@far.example",
        "@far.example",
        "ann@far.example\n",
        "ä@far.example",
        "a" * 250 + "@far.example",
    ],
)
def test_others_are_not_ordinary(address: str) -> None:
    assert ordinary(address) is None


def test_an_ordinary_address_has_a_domain() -> None:
    assert ordinary("a.b_c9@far-away.example") == "far-away.example"
