"""What local recipients stand for: recorded answers of Sendmail, and each rule by itself."""

import json
from pathlib import Path

import pytest

from relaynode.mail.address import parse_path, split
from relaynode.mail.envelope import Recipient
from relaynode.policy import expand
from relaynode.policy.expand import MAX_DEPTH, Expander
from relaynode.policy.route import Routing
from relaynode.tables.aliases import parse_aliases
from relaynode.tables.mailertable import parse_mailertable

RECORDED = json.loads(Path(__file__).with_name("expand_cases.json").read_text(encoding="utf-8"))
USERS = {"root", "alice", "bob", "carol", "dave", "joe", "user", "eric", "paul", "localuser"}
OURS = frozenset({"gate.example.org", "localhost", "virt.example"})


def expander(text):
    aliases, _ = parse_aliases(text, "/etc/mail/aliases")
    table, _ = parse_mailertable("", "mailertable")
    return Expander(Routing(OURS, table), aliases, USERS.__contains__)


def expanded(address, aliases=""):
    """The recipients, in order."""
    expansion = expander(aliases).expand(address)
    assert expansion.refusal is None, expansion.trail
    return [recipient.address for recipient in expansion.recipients]


def refusal(address, aliases=""):
    expansion = expander(aliases).expand(address)
    assert expansion.recipients == ()
    return str(expansion.refusal)


@pytest.mark.parametrize(
    "case", RECORDED["cases"], ids=lambda case: f"{case['id']} {case['aliases']} {case['input']}"
)
def test_a_name_stands_for_what_sendmail_makes_of_it(case):
    aliases = "\n".join(RECORDED["aliases"][case["aliases"]])
    expansion = expander(aliases).expand(parse_path(case["input"]))
    found = [recipient.address for recipient in expansion.recipients]
    if expansion.refusal is not None:
        assert expansion.refusal.enhanced == "5.1.1"
        found = [expansion.refusal.text.partition("<")[2].partition(">")[0]]
    assert sorted(map(_shown, found)) == case["expect"], expansion.trail


def _shown(address):
    """A user, an address elsewhere, or, behind "? ", a name that is unknown."""
    local, domain = split(address)
    if domain and domain.lower() not in OURS:
        return address
    user = local.lower().partition("+")[0]
    return user if user in USERS else f"? {address}"


# ---- without aliases


def test_a_user_is_kept_as_written():
    assert expanded("Alice@Gate.Example.org") == ["Alice@Gate.Example.org"]
    assert expanded("alice") == ["alice"]
    assert expanded('"alice"@localhost') == ['"alice"@localhost']


def test_an_address_that_is_not_ours_comes_back_as_it_is():
    assert expanded("Alice@Example.com", "alice: bob\n") == ["Alice@Example.com"]


@pytest.mark.parametrize("address", ["nosuch", "nosuch@gate.example.org", "nosuch+alice"])
def test_an_unknown_user_is_refused_for_good(address):
    assert refusal(address) == f"550 5.1.1 <{address}>... User unknown"


@pytest.mark.parametrize(
    "local", ["a%b.example", "b.example!a", '"a@b.example"', "@x", ".", "*", "+", ""]
)
def test_nothing_is_unpacked_from_a_local_part(local):
    assert refusal(f"{local}@gate.example.org").startswith("550 5.1.1 ")


def test_a_detail_is_kept_for_the_user():
    assert expanded("alice+lists") == ["alice+lists"]


# ---- aliases


def test_the_recipient_remembers_the_name_it_was_expanded_from():
    (recipient,) = expander("staff: alice\n").expand("staff@localhost").recipients
    assert recipient == Recipient("alice", expanded_from="staff@localhost")
    (recipient,) = expander("").expand("alice").recipients
    assert recipient == Recipient("alice")


def test_aliases_hold_in_any_case_and_in_every_domain_of_ours():
    aliases = "Postmaster: alice\n"
    assert expanded("POSTMASTER@virt.example", aliases) == ["alice"]
    assert expanded('"PostMaster"', aliases) == ["alice"]


def test_an_alias_may_lead_away():
    assert expanded("joe", "joe: joe@far.example, bob\n") == ["joe@far.example", "bob"]


def test_an_alias_goes_before_a_user_of_that_name():
    assert expanded("alice", "alice: bob\n") == ["bob"]


def test_lists_may_hold_lists_and_everybody_has_the_mail_once():
    aliases = (
        "all: staff, friends, ALICE@localhost\nstaff: alice, bob\nfriends: Bob, f@far.example\n"
    )
    assert expanded("all", aliases) == ["alice", "bob", "f@far.example"]


def test_remote_addresses_are_doubles_in_any_case():
    assert expanded("l", "l: a@Far.Example, A@far.example.\n") == ["a@Far.Example"]


def test_a_local_name_with_an_at_sign_is_no_double_of_a_remote_address():
    aliases = 'l: "a@far.example"@localhost, a@far.example\n"a@far.example": bob\n'
    expansion = expander(aliases).expand("l")
    assert "a@far.example" in [recipient.address for recipient in expansion.recipients]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("u+exact", "carol"),
        ("u+other", "bob"),
        ("u+", "bob"),
        ("u", "alice"),
        ("v+detail", "dave"),
        ("U+Exact", "carol"),
    ],
)
def test_a_detail_is_looked_up_exactly_then_by_the_star_then_without_it(address, expected):
    aliases = "u: alice\nu+*: bob\nu+exact: carol\nv: dave\n"
    assert expanded(address, aliases) == [expected]


def test_a_member_that_nobody_knows_does_not_stop_the_others_and_is_told_to_the_sender():
    assert sorted(expanded("l", "l: alice, nosuch, bob\n")) == ["alice", "bob", "nosuch"]


def test_a_list_of_which_nobody_is_known_is_refused_with_the_first_reason():
    assert refusal("l", "l: nosuch, nobody2\n") == "550 5.1.1 <nosuch>... User unknown"


def test_a_value_that_is_no_address_does_not_stop_the_others():
    assert expanded("l", "l: alice bob, <>, carol\n") == ["carol"]
    assert refusal("l", "l: a b\n").startswith("554 5.1.3 alias l: a b: ")
    assert refusal("l", "l: <>\n").startswith("554 5.1.3 alias l: <>: ")


@pytest.mark.parametrize("value", ["|/bin/cat", '"|/bin/cat -u"', "/var/x", ":include:/etc/list"])
def test_mail_for_a_program_or_file_waits(value):
    found = refusal("p", f"p: {value}\n")
    assert found.startswith("451 4.3.5 alias value ")


@pytest.mark.parametrize("value", ["|/bin/cat", "/var/x", ":include:/etc/list"])
def test_a_list_with_a_program_or_file_waits_whole_so_that_no_copy_is_lost(value):
    assert refusal("p", f"p: alice, {value}\n").startswith("451 4.3.5 alias value ")


# ---- loops


def test_a_name_in_its_own_list_is_the_user():
    assert expanded("alice", "alice: alice, bob\n") == ["alice", "bob"]
    assert expanded("alice", "alice: bob, \\alice\n") == ["bob", "alice"]


def test_a_backslash_ends_the_expansion():
    assert expanded("l", "l: \\alice\nalice: bob\n") == ["alice"]
    assert expanded("l", "l: \\Alice@localhost\nalice: bob\n") == ["Alice@localhost"]
    assert expanded("l", "l: \\joe@far.example\n") == ["joe@far.example"]
    assert refusal("l", "l: \\nosuch\n") == "550 5.1.1 <nosuch>... User unknown"


def test_a_detail_does_not_turn_an_own_name_into_a_loop():
    assert expanded("alice+x", "alice: alice, bob\n") == ["alice", "bob"]
    assert expanded("alice+y", "alice: alice+x\n") == ["alice+x"]


def test_users_who_forward_to_each_other_have_the_mail_once_each():
    assert sorted(expanded("alice", "alice: bob\nbob: alice, bob\n")) == ["alice", "bob"]
    assert expanded("l", "l: alice, bob\nalice: alice, bob\nbob: bob, alice\n") == ["alice", "bob"]


def test_a_loop_without_users_is_refused():
    assert refusal("a", "a: b\nb: c\nc: a\n") == "550 5.1.1 <a>... User unknown"


def test_a_chain_may_be_as_long_as_sendmail_allows_and_no_longer():
    chain = "".join(f"a{n}: a{n + 1}\n" for n in range(1, MAX_DEPTH))
    assert expanded("a1", f"{chain}a{MAX_DEPTH}: alice\n") == ["alice"]
    longer = f"{chain}a{MAX_DEPTH}: a{MAX_DEPTH + 1}\na{MAX_DEPTH + 1}: alice\n"
    assert refusal("a1", longer).startswith("554 5.4.6 aliasing/forwarding loop broken (10 ")
    assert expanded("a2", longer) == ["alice"]


def test_what_was_cut_at_the_depth_limit_is_found_by_a_shorter_way():
    chain = "".join(f"a{n}: a{n + 1}\n" for n in range(1, MAX_DEPTH + 1))
    aliases = f"top: a2, a5\n{chain}a{MAX_DEPTH + 1}: alice\n"
    assert expanded("top", aliases) == ["alice"]


def test_lists_that_all_hold_each_other_are_followed_once_each():
    names = [f"l{n}" for n in range(40)]
    aliases = "".join(f"{name}: {', '.join(names)}, alice\n" for name in names)
    expansion = expander(aliases).expand("l0")
    assert "alice" in [recipient.address for recipient in expansion.recipients]
    assert len(expansion.trail) < 20_000


def test_a_list_gone_mad_stops_at_its_bound(monkeypatch):
    monkeypatch.setattr(expand, "MAX_RECIPIENTS", 3)
    members = ", ".join(f"u{n}@far.example" for n in range(9))
    assert expanded("l", f"l: {members}\n") == [f"u{n}@far.example" for n in range(3)]


# ---- the trail


def test_the_trail_names_each_lookup_and_where_it_hit():
    expansion = expander("# ours\nstaff: alice+x, gone, a b\n").expand("staff")
    assert [str(step) for step in expansion.trail] == [
        "aliases staff: alice+x, gone, a b (/etc/mail/aliases:2)",
        "aliases alice+x: no entry",
        "aliases alice+*: no entry",
        "aliases alice: no entry",
        "user alice: exists",
        "aliases gone: no entry",
        "user gone: does not exist",
        "alias value a b: no address: a blank in the local part must be quoted",
    ]
