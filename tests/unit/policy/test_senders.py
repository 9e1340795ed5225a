"""As whom people may write."""

import pytest

from relaynode.policy.names import Names
from relaynode.policy.senders import SenderRule

NAMES = Names(
    hostname="gate.lan",
    local=frozenset({"bsd.home"}),
    virtual=frozenset({"hosted.example"}),
    masqueraded=frozenset({"hidden.example"}),
)
STANDS_FOR = {"sales@bsd.home": ["alice", "bob@far.example"], "alice@hosted.example": ["carl"]}


def refused(kind, sender, user):
    rule = SenderRule(kind, frozenset({"example.net"}))
    return rule.refuses(NAMES, sender, user, lambda: STANDS_FOR.get(sender, [sender]))


@pytest.mark.parametrize("sender", ["x@far.example", "", "alice@bsd.home"])
def test_any_is_any(sender):
    assert not refused("any", sender, "alice")
    assert not refused("any", sender, "")


@pytest.mark.parametrize("user", ["", "alice"])
def test_domain_is_any_in_a_domain_of_ours(user):
    for domain in ("bsd.home", "BSD.home", "gate.lan", "hosted.example", "hidden.example"):
        assert not refused("domain", f"x@{domain}", user)
    assert not refused("domain", "x@example.net", user)
    assert not refused("domain", "x", user)
    assert not refused("domain", "", user)
    assert refused("domain", "x@far.example", user)
    assert refused("domain", "x@bsd.home.far.example", user)
    assert refused("domain", '"x@bsd.home"@far.example', user)


def test_own_is_ones_own_address_in_a_domain_of_ours_and_what_leads_to_one():
    for sender in ("alice", "alice@bsd.home", "Alice+list@example.net", "sales@bsd.home", ""):
        assert not refused("own", sender, "alice"), sender
    for sender in ("bob@bsd.home", "alice@far.example", "x@bsd.home"):
        assert refused("own", sender, "alice"), sender
    assert refused("own", "sales@bsd.home", "bob") is True


def test_a_login_that_is_an_address_may_write_as_that():
    assert not refused("own", "carol@far.example", "carol@far.example")
    assert refused("own", "bob@far.example", "carol@far.example")


def test_who_has_not_logged_in_has_no_address_of_his_own():
    assert not refused("own", "bob@bsd.home", "")
    assert refused("own", "bob@far.example", "")
