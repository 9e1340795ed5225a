"""Where an address goes, rule by rule. The recorded answers of sendmail are in tests/oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.mail.status import Status
from relaynode.policy.canonify import canonify_text
from relaynode.policy.names import Names
from relaynode.policy.route import Route, Routing, unquote
from relaynode.policy.routing_settings import Relays
from relaynode.policy.trail import Trail
from relaynode.tables.mailertable import parse_mailertable
from relaynode.tables.virtusertable import parse_virtusertable

OURS = frozenset({"bsd.home", "localhost", "hosted.example"})
SMART_HOST = "relay:relay.example.net:587"


def routing(mailertable="", smart_host="", local_domains=OURS, virtusertable="", **more):
    table, problems = parse_mailertable(mailertable, "/etc/mail/mailertable")
    assert problems == []
    names = more.pop("names", {})
    relays = more.pop("relays", {})
    return Routing(
        names=Names(hostname="bsd.home", local=frozenset(local_domains), **names),
        mailertable=table,
        virtusertable=parse_virtusertable(virtusertable, "/etc/mail/virtusertable")[0],
        relays=Relays(smart_host=smart_host, **relays),
        smart_host_name="isp" if smart_host else "",
        **more,
    )


def route(address, mailertable="", smart_host="", **more):
    return routing(mailertable, smart_host, **more).route(address).route


def trail(address, mailertable="", smart_host="", **more):
    return [str(step) for step in routing(mailertable, smart_host, **more).route(address).trail]


# ---- ours


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("joe", "joe"),
        ("joe@bsd.home", "joe"),
        ("joe@BSD.Home.", "joe"),
        ("Joe+tag@localhost", "joe+tag"),
        ('"joe"@bsd.home', "joe"),
        ('"joe b"@bsd.home', '"joe b"'),
        ("joe%localhost@bsd.home", "joe"),
        ("bsd.home!joe", "joe"),
    ],
)
def test_a_domain_of_ours_or_none_is_local_whatever_the_tables_say(address, user):
    everything = "bsd.home smtp:gw\n. smtp:gw\n"
    assert route(address, everything, SMART_HOST) == Route("local", "", user)


def test_a_sub_domain_of_ours_is_not_ours():
    assert route("joe@sub.bsd.home", smart_host=SMART_HOST).mailer == "relay"


def test_only_quotes_around_the_whole_local_part_are_taken_off():
    assert unquote('"joe b"') == "joe b"
    assert unquote('a"b"') == 'a"b"'
    assert unquote('"') == '"'
    assert unquote('""') == ""


# ---- the mailertable, before the smart host


def test_the_mailertable_comes_before_the_smart_host():
    table = "x.example smtp:gw.example.net\n"
    expected = Route("smtp", "gw.example.net", "u@x.example")
    assert route("u@x.example", table, SMART_HOST) == expected
    assert route("u@y.example", table, SMART_HOST).smart_host == "isp"


def test_the_first_key_that_has_an_entry_decides_and_the_trail_says_where_it_stands():
    table = "# ours\n.example smtp:short\n.b.example relay:long\n"
    assert route("u@a.b.example", table).host == "long"
    assert trail("u@a.b.example", table) == [
        "is a.b.example ours: no",
        "mailertable a.b.example: no entry",
        "mailertable .b.example: relay:long (/etc/mail/mailertable:3)",
    ]


def test_an_entry_may_replace_the_recipient():
    assert route("u@x.example", "x.example smtp:bob@gw.example\n") == Route(
        "smtp", "gw.example", "bob@gw.example"
    )


def test_an_entry_may_use_the_host_it_was_found_for():
    assert route("u@a.b.pct.example", ".pct.example smtp8:%1\n").host == "a.b"


@pytest.mark.parametrize("host", ["[gw.example]", "[192.0.2.1]:2525", "gw.example:587"])
def test_a_next_hop_stays_as_written(host):
    assert route("u@x.example", f"x.example relay:{host}\n").host == host


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("local:joe", "joe"),
        ("local:", "u"),
        ("local:joe@whatever.example", "joe"),
        ("local:%1", "x"),
    ],
)
def test_local_delivers_to_a_user_of_ours(value, user):
    found = route("u@x.example", f".example {value}\n", SMART_HOST)
    assert found == Route("local", "u@x.example", user)  # the host tells whom the mail was for


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("error:5.7.1:550 Mail to this host is refused", "550 5.7.1 Mail to this host is refused"),
        ("error:4.4.1:450 Try again tomorrow", "450 4.4.1 Try again tomorrow"),
        ("error:5.1.2:No such host", "550 5.1.2 No such host"),
        ("error:4.3.2:come back", "450 4.3.2 come back"),
        ("error:5.7.1:450 later", "450 4.0.0 later"),
        ("error:nohost:No such host here", "550 5.1.2 No such host here"),
        ("error:nouser:550 nobody", "550 5.1.1 nobody"),
        ("error:tempfail:later", "450 4.0.0 later"),
        ("error:usage:no", "501 5.5.2 no"),
        ("error:nouser:no", "550 5.1.1 no"),
        ("error:unavailable:no", "554 5.0.0 no"),
        ("error:software:no", "554 5.3.5 no"),
        ("error:protocol:no", "554 5.5.0 no"),
        ("error:config:no", "554 5.3.5 no"),
        ("error:unavailable:553 gone", "553 5.0.0 gone"),
        ("error:nouser", "554 5.0.0 nouser"),
        ("error:5.1.1", "554 5.0.0 5.1.1"),
        ("error: 5.1.1 : no", "550 5.1.1 no"),
        ("error:NoHost: none", "550 5.1.2 none"),
        ("error:mail refused", "554 5.0.0 mail refused"),
        ("error:550 plain text", "550 5.0.0 plain text"),
        ('error:"quoted text"', "554 5.0.0 quoted text"),
        # As in sendmail, a blank does not end a keyword, and a success is no error.
        ("error:nohost No such host", "554 5.0.0 nohost No such host"),
        ("error:2.0.0:fine", "554 5.0.0 fine"),
        ("error:550", "550 5.0.0 Mail for this address is refused"),
    ],
)
def test_an_error_entry_refuses_with_its_own_words(value, status):
    found = route("u@x.example", f"x.example {value}\n", SMART_HOST)
    assert (found.mailer, str(found.status)) == ("error", status)


def test_a_wrong_entry_keeps_mail_waiting_and_says_why():
    table = parse_mailertable("x.example uuxx:gw\ny.example uucp-dom:\n", "mailertable")[0]
    routes = Routing(names=Names(hostname="bsd.home"), mailertable=table)
    unknown, empty = (routes.route(f"u@{host}.example").route.status for host in "xy")
    assert str(unknown) == "451 4.3.5 unknown mailer uuxx"
    assert str(empty) == "451 4.3.5 mailertable: uucp-dom: names no host"


def test_discard_takes_the_mail():
    assert route("u@x.example", "x.example discard:\n").mailer == "discard"


# ---- literals, smart host, direct


def test_the_mailertable_never_sees_an_address_literal():
    table = "[192.0.2.1] smtp:gw\n. smtp:gw\n"
    literal = "u@[192.0.2.1]"
    assert route(literal, table) == Route("esmtp", "[192.0.2.1]", literal)
    assert route(literal, table, SMART_HOST).smart_host == "isp"
    assert route("u@[IPv6:2001:DB8::1]", table).host == "[ipv6:2001:db8::1]"


def test_a_literal_that_is_named_as_ours_is_local():
    ours = routing(local_domains={"[192.0.2.1]"})
    assert ours.route("u@[192.0.2.1]").route == Route("local", "", "u")


def test_the_smart_host_takes_all_the_rest():
    found = route("u@Far.Example", smart_host=SMART_HOST)
    assert found == Route("relay", "relay.example.net:587", "u@Far.Example", smart_host="isp")
    assert trail("u@far.example", smart_host=SMART_HOST)[-1] == (
        "smart host: isp (relay.example.net:587)"
    )


def test_our_own_name_as_the_smart_host_is_none():
    assert route("u@far.example", smart_host="bsd.home").mailer == "esmtp"


def test_without_a_smart_host_mail_goes_to_the_domain_itself():
    assert route("u@Far.Example") == Route("esmtp", "far.example.", "u@Far.Example")
    assert trail("u@far.example", "com smtp:gw\n") == [
        "is far.example ours: no",
        "mailertable far.example: no entry",
        "mailertable .example: no entry",
        "mailertable .: no entry",
        "smart host: none",
    ]


# ---- the virtusertable

VIRTUAL = """\
info@hosted.example    alice@example.com
joe@hosted.example     joe
sales+*@hosted.example s-%2@example.com
gone@hosted.example    error:nouser 550 No such user
loop@hosted.example    loop@hosted.example
@hosted.example        %1%3@example.net
@virt.example          %1@example.org
"""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("info@hosted.example", "mailer esmtp, host example.com., user alice@example.com"),
        ("joe@Hosted.Example", "mailer local, user joe"),
        ("sales+x@hosted.example", "mailer esmtp, host example.com., user s-x@example.com"),
        ("u+d@hosted.example", "mailer esmtp, host example.net., user u+d@example.net"),
        ("gone@hosted.example", "mailer *error*, host nouser, user 550 No such user"),
        ("x@virt.example", "mailer esmtp, host example.org., user x@example.org"),
        ("x@sub.virt.example", "mailer esmtp, host sub.virt.example., user x@sub.virt.example"),
        ("info", "mailer local, user info"),
    ],
)
def test_an_address_of_a_hosted_domain_stands_for_another(address, expected):
    virtual = {"virtual": frozenset({"virt.example"})}
    assert str(route(address, virtusertable=VIRTUAL, names=virtual)) == expected


def test_a_virtual_domain_may_serve_all_below_it():
    virtual = {"virtual": frozenset({"virt.example"}), "virtual_entire_domain": True}
    found = route("a@x.virt.example", virtusertable="a@x.virt.example b\n", names=virtual)
    assert found == Route("local", "", "b")


def test_an_entry_that_leads_back_to_itself_keeps_its_mail_waiting():
    status = route("loop@hosted.example", virtusertable=VIRTUAL).status
    assert status == Status(451, "4.3.5", "virtusertable: loop@hosted.example leads back to itself")


# ---- UUCP


@pytest.mark.parametrize(
    ("address", "settings", "expected"),
    [
        ("nbr!joe", {}, "mailer esmtp, host nbr.uucp., user nbr!joe@bsd.home"),
        ("nbr!joe", {"uucp_mailer": True}, "mailer uucp-old, host nbr, user nbr!joe"),
        ("nbr!far!joe", {"uucp_mailer": True}, "mailer uucp-old, host nbr, user nbr!far!joe"),
        (
            "nbr!joe",
            {"relays": {"uucp_relay": "uucp-dom:isp"}},
            "mailer uucp-dom, host isp, user nbr!joe@isp",
        ),
        (
            "joe@Nbr.UUCP",
            {"neighbours": {"nbr": "uucp-new"}, "relays": {"uucp_relay": "uu.example"}},
            "mailer uucp-new, host Nbr, user Nbr!joe",
        ),
        (
            "joe@pc.Nbr.uucp",
            {"uucp_mailer": True},
            "mailer uucp-old, host pc.Nbr, user pc.Nbr.UUCP!joe",
        ),
        (
            "nbr!joe",
            {"names": {"bang_paths": False}, "uucp_mailer": True},
            "mailer local, user nbr!joe",
        ),
    ],
)
def test_a_bang_path_goes_to_the_neighbour_or_to_the_uucp_relay(address, settings, expected):
    assert str(route(address, **settings)) == expected


def test_a_neighbour_is_not_told_its_own_name():
    table = "nbr.UUCP uucp-dom:nbr\n"
    assert route("nbr!far!joe", table).user == "far!joe"
    assert route("nbr!joe", table).user == "nbr!joe"


@pytest.mark.parametrize(
    ("nodes", "last"), [(frozenset(), "Uucp"), (frozenset({"nbr"}), "UUCP"), (None, "UUCP")]
)
def test_a_node_that_is_known_to_be_reached_by_uucp_is_written_in_capitals(nodes, last):
    names = Names(hostname="bsd.home", uucp_nodes=nodes)
    assert canonify_text(names, "u@Nbr.Uucp", Trail()).host == ("Nbr", ".", last, ".")


# ---- addresses that are none


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("joe@far@x..example", "553 5.1.2 Invalid host name"),
        ("joe@far@x.example", "553 5.1.3 Invalid route address"),
    ],
)
def test_what_is_wrong_with_the_host_is_told_first(address, status):
    assert str(route(address).status) == status


def test_empty_brackets_are_no_address_literal():
    table = "[] smtp:gw.example\n"
    assert route("joe@[]", table).host == "gw.example"


# ---- names that never leave, and the hub


def test_with_stickyhost_only_names_with_our_domain_go_to_the_hub():
    hub = {"stickyhost": True, "relays": {"mail_hub": "hub.example"}}
    assert str(route("joe@bsd.home", **hub)) == "mailer relay, host hub.example, user joe@bsd.home"
    assert route("joe", **hub) == Route("local", "", "joe")


def test_a_local_user_is_marked_as_staying():
    assert route("root", local_users=frozenset({"root"})).stays
    assert not route("joe", local_users=frozenset({"root"})).stays


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("|cat", "mailer prog, user |cat"),
        ('"|cat -u"', 'mailer prog, user "|cat -u"'),
        ("/var/mail/x", "mailer *file*, user /var/mail/x"),
        (":include:/l/list", "mailer *include*, user /l/list"),
    ],
)
def test_programs_files_and_lists_are_told_from_users(name, expected):
    assert str(route(name)) == expected


# ---- any address


@pytest.mark.parametrize(
    "address", ["a@" + "x." * 600, "<" * 5000, "@a," * 400 + ":b@c", "a!" * 600]
)
def test_what_is_too_long_for_an_address_is_refused(address):
    assert str(route(address).status) == "553 5.1.3 Address too long"


def test_a_host_of_very_many_labels_is_looked_up_like_any_other():
    host = ".".join("x" * 500)
    assert route(f"a@{host}.example", ".example smtp:gw\n").host == "gw"


WORDS = ["joe", "bsd.home", "hosted.example", "virt.example", "x.UUCP", "localhost", "::", "\0"]
PIECES = st.sampled_from([*'@!%+."\\<>():;,[] |/', *WORDS])
ODD = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=40)


@given(ODD, st.sampled_from(["", SMART_HOST, "uucp-dom:isp", "relay:box@gw.example"]))
def test_no_address_however_odd_raises_anything(address, smart_host):
    table = ".example smtp:%1\nx.UUCP uucp-dom:x\n. esmtp:gw\n"
    found = routing(table, smart_host, virtusertable=VIRTUAL, uucp_mailer=True).route(address)
    assert str(found.route)
    assert (found.route.mailer == "error") == (found.route.status is not None)
