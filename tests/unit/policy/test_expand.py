"""What recipients stand for, rule by rule. The recorded answers of sendmail are in tests/oracle."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import RelaynodeError, TableError
from relaynode.mail.envelope import Recipient
from relaynode.mail.status import Status
from relaynode.policy import expanding
from relaynode.policy.expand import Expander, LocalNameRules, decide, final_route
from relaynode.policy.locals import AddressFile, Unopened
from relaynode.policy.names import Names
from relaynode.policy.route import Routing
from relaynode.policy.routing_settings import Relays
from relaynode.tables.aliases import parse_aliases
from relaynode.tables.mailertable import parse_mailertable
from relaynode.tables.virtusertable import parse_virtusertable

USERS = frozenset({"root", "alice", "bob", "carol", "dave"})
OURS = frozenset({"bsd.home", "localhost", "hosted.example"})
MAILERTABLE = "uu.example uucp-dom:uu\nbad.example error:nohost:no such place\n"
VIRTUSERTABLE = "info@hosted.example bob\nfar@hosted.example x@example.com\n"


class Scripted:
    """A machine of some users, with files that the test wrote down."""

    def __init__(self, files=(), *, shells=USERS, users=USERS):
        self.files = dict(files)
        self.shells = shells
        self.users = users
        self.read = []

    def is_user(self, name):
        return name in self.users

    def why_not_deliver(self, name):
        if name in self.shells:
            return ""
        return f"User {name}@bsd.home doesn't have a valid shell for mailing to"

    def forward(self, name, detail):
        self.read.append((name, detail))
        text = self.files.get(f"~{name}+{detail}", self.files.get(f"~{name}"))
        if isinstance(text, Exception):
            raise text
        return None if text is None else AddressFile(f"/home/{name}/.forward", text, name)

    def include(self, path, reader):
        self.read.append((path, reader))
        found = self.files.get(path)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, str):
            return AddressFile(path, found, "dave", self.why_not_deliver("dave"))
        return found or Unopened(path, "No such file or directory")


def expander(aliases="", files=(), *, relays=None, machine=None, names=None, **routing):
    parsed, _ = parse_aliases(aliases, "/etc/mail/aliases")
    made = Routing(
        names=Names(hostname="bsd.home", local=OURS),
        mailertable=parse_mailertable(MAILERTABLE, "mailertable")[0],
        virtusertable=parse_virtusertable(VIRTUSERTABLE, "virtusertable")[0],
        relays=Relays(**(relays or {})),
        **routing,
    )
    return Expander(made, parsed, machine or Scripted(files), names or LocalNameRules())


def expansion(address, aliases="", files=(), **more):
    return expander(aliases, files, **more).expand(address)


def expanded(address, aliases="", files=(), **more):
    """The addresses of the recipients, sorted; those that are bad behind a question mark."""
    found = expansion(address, aliases, files, **more)
    assert found.refusal is None, found.complaints
    return sorted(("?" if one.mailer == "error" else "") + one.address for one in found.recipients)


def refusal(address, aliases="", files=(), **more):
    found = expansion(address, aliases, files, **more)
    assert found.recipients == ()
    return str(found.refusal)


def printed(address, aliases="", files=(), **more):
    return [one.text for one in expansion(address, aliases, files, **more).complaints]


# ---- without aliases


@pytest.mark.parametrize("address", ["Alice@Bsd.home", "alice", '"alice"@localhost', "alice+x"])
def test_a_user_is_kept_as_written(address):
    assert expanded(address) == [address]


def test_a_user_behind_a_backslash_is_the_user():
    assert expanded("\\alice") == ["alice"]


def test_an_address_that_is_not_ours_comes_back_as_it_is():
    assert expanded("Alice@Example.com", "alice: bob\n") == ["Alice@Example.com"]


@pytest.mark.parametrize("address", ["nosuch", "nosuch@bsd.home", "nosuch+alice"])
def test_an_unknown_user_is_refused_for_good(address):
    assert refusal(address) == f"550 5.1.1 <{address}>... User unknown"


def test_what_a_table_refuses_is_refused():
    assert refusal("x@bad.example") == "550 5.1.2 <x@bad.example>... no such place"


def test_a_virtual_user_is_the_one_the_virtusertable_names():
    assert expanded("info@hosted.example", "bob: carol\n") == ["carol"]


# ---- aliases


def test_an_alias_is_what_it_stands_for_whatever_its_case():
    assert expanded("STAFF@bsd.home", "staff: alice, x@example.com\n") == ["alice", "x@example.com"]


def test_phrases_and_comments_are_no_part_of_an_address():
    aliases = 'l: Bob B <bob>, "Q, R" <x@example.com>, alice (here)\n'
    assert expanded("l", aliases) == ["alice", "bob", "x@example.com"]


def test_a_recipient_knows_what_it_was_expanded_from():
    found = expansion("l@bsd.home", "l: m\nm: alice\n")
    assert [one.expanded_from for one in found.recipients] == ["l@bsd.home"]
    assert expansion("alice").recipients[0].expanded_from == ""


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("u+exact", "carol"),
        ("u+other", "bob"),
        ("u+", "bob"),
        ("u", "alice"),
        ("v+any", "alice"),
        ("dave+any", "dave+any"),
    ],
)
def test_a_detail_is_looked_up_whole_then_as_a_star_then_not_at_all(address, found):
    assert expanded(address, "u: alice\nu+*: bob\nu+exact: carol\nv: alice\n") == [found]


def test_a_name_behind_a_backslash_has_no_alias_and_no_forward():
    assert expanded("l", "l: \\alice\nalice: bob\n", {"~alice": "carol\n"}) == ["alice"]


def test_without_aliases_nothing_has_one():
    plain = replace(expander("l: alice\nalice: bob\n"), uses_aliases=False)
    assert plain.expand("alice").recipients == (Recipient("alice"),)
    assert plain.expand("l").refusal is not None


def test_the_same_recipient_counts_once_however_it_is_written():
    aliases = 'l: alice, ALICE, alice@bsd.home, "alice", \\alice, x@example.com, X@Example.COM\n'
    assert expanded("l", aliases) == ["X@Example.COM", "alice"]


def test_a_bad_member_fails_alone_and_its_failure_is_told():
    found = expansion("l", "l: alice, nosuch\n")
    assert found.refusal is None
    bad, good = found.recipients
    assert (bad.address, bad.mailer, bad.host) == ("nosuch", "error", "550 5.1.1 User unknown")
    assert good.address == "alice"
    assert final_route(expander().routing, bad).status == Status(550, "5.1.1", "User unknown")


def test_a_list_of_nobody_is_refused():
    assert refusal("l", "l: nosuch, nobody\n") == "550 5.1.1 <l>... User unknown"


# ---- loops


def test_a_loop_of_aliases_is_refused():
    text = "554 5.4.6 <a>... aliasing/forwarding loop broken"
    assert refusal("a", "a: b\nb: c\nc: a\n") == text


def test_a_user_in_a_loop_keeps_the_mail():
    assert expanded("alice", "alice: b\nb: alice\n") == ["alice"]
    assert expanded("l", "l: alice, m\nm: l\n") == ["alice"]


def test_a_user_in_its_own_alias_keeps_a_copy():
    assert expanded("alice", "alice: alice, bob\n") == ["alice", "bob"]


def test_aliases_stand_for_aliases_ten_deep_and_no_deeper():
    chain = "".join(f"a{n}: a{n + 1}\n" for n in range(10)) + "a10: alice\n"
    assert expanded("a1", chain) == ["alice"]
    text = "aliasing/forwarding loop broken (11 aliases deep; 10 max)"
    assert refusal("a0", chain) == f"554 5.4.6 <a0>... {text}"


def test_a_list_gone_mad_is_refused(monkeypatch):
    monkeypatch.setattr(expanding, "MAX_RECIPIENTS", 3)
    assert expanded("l", "l: a@x.example, b@x.example\n") == ["a@x.example", "b@x.example"]
    assert refusal("l", "l: a@x.example, b@x.example, c@x.example\n").startswith("554 5.5.3 ")


# ---- owners of lists


@pytest.mark.parametrize(
    ("aliases", "owner"),
    [
        ("l: alice\nowner-l: carol\n", "carol"),
        ("l: alice\nowner-l: x@example.com\n", "x@example.com"),
        ("l: alice\nowner-l: carol, bob\n", "owner-l"),
        ('l: alice\nowner-l: "|prog"\n', "owner-l"),
        ("l: m\nowner-l: carol\nm: alice\nowner-m: dave\n", "dave"),
        ("l: m\nowner-l: carol\nm: alice\n", "carol"),
        ("l: alice\n", ""),
        ("owner-x: alice\nl: owner-x\nowner-owner: bob\n", "bob"),
    ],
)
def test_mail_of_a_list_is_sent_by_its_owner(aliases, owner):
    assert [one.owner for one in expansion("l", aliases).recipients] == [owner]


def test_an_owner_answers_for_the_members_of_its_list_only():
    aliases = "top: alice, l\nl: bob, nosuch\nowner-l: carol\n"
    owners = {one.address: one.owner for one in expansion("top", aliases).recipients}
    assert owners == {"alice": "", "bob": "carol", "nosuch": "carol"}


# ---- .forward


def test_a_user_s_forward_says_who_gets_the_mail():
    assert expanded("alice", files={"~alice": "bob\nx@example.com\n"}) == ["bob", "x@example.com"]


@pytest.mark.parametrize("own", ["alice", "\\alice", "alice@bsd.home"])
def test_a_user_s_own_name_there_keeps_a_copy(own):
    assert expanded("alice", files={"~alice": f"{own}, bob\n"}) == ["alice", "bob"]


@pytest.mark.parametrize("text", ["", "# nobody\n", "  \n", ",\n"])
def test_a_forward_that_names_nobody_changes_nothing(text):
    assert expanded("alice", files={"~alice": text}) == ["alice"]


def test_two_users_that_forward_to_each_other_keep_their_mail():
    assert expanded("alice", files={"~alice": "bob\n", "~bob": "alice\n"}) == ["alice", "bob"]


def test_a_forward_may_name_an_alias_and_an_alias_a_user_with_a_forward():
    files = {"~alice": "staff\n"}
    assert expanded("l", "l: alice\nstaff: bob, carol\n", files) == ["bob", "carol"]


def test_a_detail_finds_its_own_forward():
    files = {"~alice": "bob\n", "~alice+x": "carol\n"}
    assert expanded("alice+x", files=files) == ["carol"]
    assert expanded("alice+y", files=files) == ["bob"]


def test_what_is_wrong_in_a_forward_is_named_by_file_and_line():
    complaints = printed("alice", files={"~alice": "bob\nnosuch\n"})
    assert complaints == ["/home/alice/.forward: line 2: nosuch... User unknown"]


def test_a_forward_that_may_be_readable_later_makes_the_mail_wait():
    with pytest.raises(TableError):
        expansion("alice", files={"~alice": TableError("stale handle")})


# ---- lists in files


def test_an_included_file_is_a_list():
    files = {"/l": "alice, bob\n# no\nx@example.com\n"}
    assert expanded("l", "l: :include:/l\n", files) == ["alice", "bob", "x@example.com"]


def test_an_included_file_may_include_another_and_no_loop_harms():
    files = {"/l": ":include:/m\nalice\n", "/m": ":include:/l\nbob\n"}
    assert expanded("l", "l: :include:/l\n", files) == ["alice", "bob"]


def test_a_file_that_cannot_be_read_is_refused_and_the_rest_delivered():
    reason = "550 5.2.4 <l>... Cannot open /gone: No such file or directory"
    assert refusal("l", "l: :include:/gone\n") == reason
    assert expanded("l", "l: :include:/gone, alice\n") == ["?:include:/gone", "alice"]


def test_an_empty_list_has_nobody_to_send_to():
    text = "554 5.4.6 <l>... aliasing/forwarding loop broken"
    assert refusal("l", "l: :include:/l\n", {"/l": "# nobody\n"}) == text


def test_a_list_of_an_alias_is_read_as_the_default_user_and_that_of_a_user_as_him():
    machine = Scripted({"/l": "alice\n", "~bob": ":include:/l\n"})
    expander("l: :include:/l\n", machine=machine).expand("l")
    assert ("/l", "") in machine.read
    expander(machine=machine).expand("bob")
    assert ("/l", "bob") in machine.read


# ---- programs and files


def only(address, aliases="", files=(), **more):
    (recipient,) = expansion(address, aliases, files, **more).recipients
    return recipient


@pytest.mark.parametrize(
    ("value", "mailer", "command"),
    [
        ('"|/bin/cat -u"', "prog", "|/bin/cat -u"),
        ("|/bin/cat", "prog", "|/bin/cat"),
        (r'"|sh -c \"a, b\""', "prog", '|sh -c "a, b"'),
        ("/var/spool/x", "*file*", "/var/spool/x"),
        ('"/var/tmp/x y"', "*file*", "/var/tmp/x y"),
        ("/dev/null", "*file*", "/dev/null"),
    ],
)
def test_an_alias_may_be_a_program_or_a_file_of_the_default_user(value, mailer, command):
    found = only("l", f"l: {value}\n")
    assert (found.mailer, found.address, found.run_as) == (mailer, command, "")
    assert found.expanded_from == "l"


def test_a_program_in_a_forward_is_its_user_s():
    assert only("alice", files={"~alice": '"|prog"\n'}).run_as == "alice"


def test_a_program_in_a_list_is_that_of_the_list_s_owner():
    assert only("l", "l: :include:/l\n", {"/l": '"|prog"\n'}).run_as == "dave"


def test_a_program_in_a_list_that_a_user_includes_is_the_user_s():
    assert only("alice", files={"~alice": ":include:/l\n", "/l": '"|prog"\n'}).run_as == "alice"


def test_a_program_of_an_alias_that_a_forward_names_is_the_default_user_s():
    assert only("alice", "p: |prog\n", {"~alice": "p\n"}).run_as == ""


def test_the_same_program_for_two_users_is_two_deliveries():
    files = {"~alice": '"|prog"\n', "~bob": '"|prog"\n'}
    found = expansion("l", "l: alice, bob\n", files).recipients
    assert sorted(one.run_as for one in found) == ["alice", "bob"]


def test_who_may_not_log_in_may_not_run_programs():
    machine = Scripted({"~alice": '"|prog"\n/file\nbob\n'}, shells={"bob"})
    assert printed("alice", machine=machine) == [
        '/home/alice/.forward: line 1: "|prog"... User alice@bsd.home doesn\'t have a valid shell'
        " for mailing to programs",
        "/home/alice/.forward: line 2: /file... User alice@bsd.home doesn't have a valid shell"
        " for mailing to files",
    ]


@pytest.mark.parametrize(
    ("address", "what"), [("|prog", "programs"), ("/file", "files"), (":include:/l", ":include:s")]
)
def test_a_sender_names_no_programs_and_no_files(address, what):
    text = f"550 5.7.1 <{address}>... Cannot mail directly to {what}"
    assert refusal(address, files={"/l": "alice\n"}) == text


@pytest.mark.parametrize("address", ["|prog", "/file", "|prog@bsd.home", '"|prog"@localhost'])
def test_nor_does_an_address_in_the_queue(address):
    route = final_route(expander().routing, Recipient(address))
    assert route.mailer == "error"
    assert route.status.enhanced == "5.7.1"


# ---- hubs and relays


def test_a_name_without_an_alias_goes_to_the_hub_and_stays_decided():
    made = expander("l: alice\n", relays={"mail_hub": "hub.example.net"})
    (found,) = made.expand("l").recipients
    assert (found.mailer, found.host, found.address) == (
        "relay",
        "hub.example.net",
        "alice@hub.example.net",
    )
    assert str(final_route(made.routing, found)) == (
        "mailer relay, host hub.example.net, user alice@hub.example.net"
    )
    assert "decided when the message was accepted" in str(decide(made.routing, found).trail[0])


def test_a_detail_goes_to_the_hub_with_its_name():
    assert only("alice+x", relays={"mail_hub": "smtp:hub"}).address == "alice+x@hub"


def test_a_local_relay_is_a_hub_and_the_hub_comes_first():
    assert only("alice", relays={"local_relay": "lr"}).host == "lr"
    assert only("alice", relays={"local_relay": "lr", "mail_hub": "hub"}).host == "hub"


def test_local_users_never_leave():
    relays = {"mail_hub": "hub"}
    assert expanded("alice", relays=relays, local_users={"alice"}) == ["alice"]
    assert only("bob", relays=relays, local_users={"alice"}).mailer == "relay"


def test_with_a_sticky_hub_a_whole_address_goes_there_before_it_is_expanded():
    more = {"relays": {"mail_hub": "hub"}, "stickyhost": True}
    assert expanded("alice@bsd.home", "alice: bob\n", **more) == ["alice@bsd.home"]
    target = expansion("alice@bsd.home", "alice: bob\n", **more).targets[0]
    assert (target.route.mailer, target.route.host) == ("relay", "hub")


def test_names_that_nobody_has_go_to_the_relay_for_them():
    relays = {"luser_relay": "lu.example.net"}
    assert only("nosuch+d", relays=relays).address == "nosuch+d@lu.example.net"
    assert expanded("alice", relays=relays) == ["alice"]


def test_names_that_nobody_has_may_be_somebody_s_or_refused():
    assert expanded("nosuch", relays={"luser_relay": "local:alice"}) == ["alice"]
    text = "550 5.1.1 <nosuch>... go away"
    assert refusal("nosuch", relays={"luser_relay": "error:5.1.1:550 go away"}) == text
    text = "550 5.1.1 <nosuch>... User unknown"
    assert refusal("nosuch", relays={"luser_relay": "local:neither"}) == text


# ---- details and sub-domains


def test_a_preserved_detail_is_part_of_the_name():
    names = LocalNameRules(preserve_plus_detail=True)
    assert refusal("alice+x", names=names) == "550 5.1.1 <alice+x>... User unknown"
    assert expanded("alice+x", "alice+x: bob\nalice: carol\n", names=names) == ["bob"]


def test_a_dash_divides_a_detail_from_the_longest_user_name_if_it_may():
    machine = Scripted({"~joe-x": "bob\n"}, users={"joe", "joe-x", "bob"})
    names = LocalNameRules(has_dash_details=True)
    assert expanded("joe-y-z", machine=machine, names=names) == ["joe+y-z"]
    assert ("joe", "y-z") in machine.read
    assert expanded("joe-x-y", machine=machine, names=names) == ["bob"]
    assert refusal("joe-y", machine=machine) == "550 5.1.1 <joe-y>... User unknown"


def test_every_name_below_a_user_s_own_domain_is_the_user_s():
    names = LocalNameRules(subdomains_of=frozenset({"provider.example"}))
    aliases = "alice+shop: carol\n"
    assert expanded("any.one@ALICE.Provider.example", aliases, names=names) == ["alice+any.one"]
    assert expanded("shop@alice.provider.example", aliases, names=names) == ["carol"]
    files = {"~alice": "bob\n", "~alice+x": "dave\n"}
    assert expanded("x@alice.provider.example", files=files, names=names) == ["dave"]
    other = "x@nosuch.provider.example"
    assert expanded(other, names=names) == [other]
    assert expanded("x@a.alice.provider.example", names=names) == ["x@a.alice.provider.example"]


# ---- trail and identity


def test_the_trail_names_table_line_and_file_of_each_hit():
    found = expansion("l", "# one\nl: alice\n", {"~alice": "\nbob\n"})
    shown = [str(step) for step in found.trail]
    assert "aliases l: alice (/etc/mail/aliases:2)" in shown
    assert "file /home/alice/.forward: bob (/home/alice/.forward:2)" in shown
    assert shown[-1] == "user bob: exists"


def test_recipients_are_told_apart_by_where_they_go():
    made = expander()
    same = [Recipient("alice"), Recipient("Alice@bsd.home"), Recipient('"alice"@localhost')]
    assert len({made.identity(one) for one in same}) == 1
    others = [
        Recipient("alice@example.com"),
        Recipient("alice+x"),
        Recipient("|p", mailer="prog", run_as="alice"),
        Recipient("|P", mailer="prog", run_as="alice"),
        Recipient("|p", mailer="prog", run_as="bob"),
        Recipient("alice@hub", mailer="relay", host="hub"),
    ]
    assert len({made.identity(one) for one in [*same[:1], *others]}) == 1 + len(others)


_TEXTS = st.text('abl@,.|/:;<>()"\\+%! \t', max_size=20)


@given(_TEXTS, _TEXTS, _TEXTS)
def test_no_address_alias_or_forward_however_odd_raises_anything_but_our_own_error(
    address, value, line
):
    made = expander(f"l: {value}\nab: l\n", {"~alice": line, "/l": line})
    for text in (address, "l", "alice"):
        try:
            made.expand(text)
            made.expand_lists([text])
        except RelaynodeError:
            pass
