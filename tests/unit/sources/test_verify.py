"""What `sendmail -bv` prints; the recorded answers are in tests/oracle."""

import pytest

from relaynode.policy.expand import Expander
from relaynode.policy.locals import NamesOnly
from relaynode.policy.names import Names
from relaynode.policy.route import Routing
from relaynode.sources.verify import verify
from relaynode.tables.aliases import parse_aliases
from relaynode.tables.mailertable import parse_mailertable

ALIASES = "list: alice, x@example.com, nosuch\nloop: loop2\nloop2: loop\n"
TABLE = (
    "policy.example error:5.7.1:no\nusage.example error:usage:how\nlater.example"
    " error:4.2.1:450 later\n"
)


def verified(*words):
    expander = Expander(
        Routing(
            names=Names(hostname="bsd.home", local=frozenset({"bsd.home"})),
            mailertable=parse_mailertable(TABLE, "mailertable")[0],
        ),
        parse_aliases(ALIASES, "aliases")[0],
        NamesOnly({"alice", "bob"}.__contains__),
    )
    return verify(expander, words)


def test_errors_come_first_and_mail_that_stays_before_mail_that_goes():
    assert verified("list").lines == (
        "nosuch... User unknown",
        "alice... deliverable: mailer local, user alice",
        "x@example.com... deliverable: mailer esmtp, host example.com., user x@example.com",
    )


def test_one_word_may_name_several_addresses():
    assert len(verified("alice, bob").lines) == len(verified("alice bob").lines) == 2
    assert len(verified("alice", "bob").lines) == 2
    assert verified("").lines == verified().lines == ()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("alice",), 0),
        (("nosuch",), 67),
        (("list",), 67),
        (("loop",), 64),
        (("|prog",), 64),
        (('"alice',), 64),
        (("x@policy.example",), 65),
        (("x@usage.example",), 64),
        (("x@policy.example", "nosuch"), 65),
        (("nosuch", "x@policy.example"), 67),
        (("x@later.example",), 0),
        (("x@later.example", "nosuch"), 67),
    ],
)
def test_the_exit_code_is_that_of_the_first_refusal(words, code):
    assert verified(*words).exit_code == code
