"""A login that is refused for good is not tried again and again on the line's money."""

import pytest

from nodes import TestNode
from peers.pop3_double import Mailbox
from relaynode.cli.offers import counts, line
from relaynode.errors import LoginRefused
from relaynode.links.linkrun import Wish
from relaynode.mail.passing import sounds_passing
from relaynode.polls.refusals import REFUSALS_UNTIL_WEDGED, Refusals, Wedged
from relaynode.queue.memory import MemoryStore
from relaynode.queue.model import Offer
from unit.polls.pop3_visits import mailbox, play


async def tried(home, settings="settings", times=1):
    """How often the server was called."""
    before = home.box.sessions
    for _ in range(times):
        refusals = Refusals("isp", home.store.mailboxes, settings)
        try:
            await refusals.check()
        except Wedged:
            continue
        await home.visit()
        if isinstance(home.problem, LoginRefused):
            await refusals.note(home.problem)
        elif home.problem is None:
            await refusals.forget()
    return home.box.sessions - before


@pytest.mark.parametrize(
    ("answer", "sessions"),
    [
        (b"-ERR [AUTH] no\r\n", 1),
        (b"-ERR Authentication failed\r\n", REFUSALS_UNTIL_WEDGED),
        (b"-ERR [IN-USE] another session\r\n", 10),
        (b"-ERR [SYS/TEMP] database\r\n", 10),
        (b"-ERR [LOGIN-DELAY] wait\r\n", 10),
        (b"-ERR too many connections from your host\r\n", 10),
        (b"-ERR mailbox is locked by another session\r\n", 10),
        (b"-ERR quota exceeded\r\n", 10),
    ],
)
def test_only_a_refusal_for_good_ends_the_tries(tmp_path, answer, sessions):
    async def scenario(home):
        home.box.answers["PASS"] = answer
        return await tried(home, times=10)

    assert play(tmp_path, scenario, mailbox(1)) == sessions


def test_other_settings_are_tried_and_a_login_that_works_is_a_new_start(tmp_path):
    async def scenario(home):
        home.box.answers["PASS"] = b"-ERR [AUTH] no\r\n"
        assert await tried(home, times=3) == 1
        assert await tried(home, "other password", times=3) == 1
        del home.box.answers["PASS"]
        assert await tried(home, "third", times=2) == 2
        home.box.answers["PASS"] = b"-ERR no\r\n"
        return await tried(home, "third", times=9)

    assert play(tmp_path, scenario, mailbox(1)) == REFUSALS_UNTIL_WEDGED


def test_the_run_says_that_it_did_not_try_and_one_that_names_the_account_does(tmp_path):
    test_node = TestNode(
        tmp_path,
        '[account.isp]\nhost = "localhost:1"\ntls = "none"\nuser = "ann"\n'
        'password_file = "password"\ndeliver_to = "user"\n',
        users=("user",),
    )
    test_node.password("password", "secret")

    async def scenario(home):
        node = test_node.open(store=MemoryStore(tmp_path / "other"))
        try:
            section = node.links._config.file.account["isp"]
            settings = node.links._fetching._tried(section)
            home.box.answers["PASS"] = b"-ERR [AUTH] no\r\n"
            await home.visit()
            store = node.links._parts.store
            await Refusals("isp", store.mailboxes, settings).note(home.problem)
            seen = await node.links.run("default", Wish(flush=False))
            named = await node.links.run("default", Wish(flush=False, accounts=("isp",)))
            test_node.password("password", "secret2")
            assert node.links._fetching._tried(section) != settings
            return seen.problems, named.problems
        finally:
            await node.close()

    (seen,), (named,) = play(tmp_path / "home", scenario, mailbox(1))
    assert "account isp: not tried" in seen and "[AUTH] no" in seen
    assert "relaynode fetch isp" in seen
    assert "not tried" not in named


@pytest.mark.parametrize("text", ["Logon failure", "invalid password", "no such user", "denied"])
def test_what_speaks_of_name_or_password_does_not_pass(text):
    assert not sounds_passing(text)


def test_an_empty_mailbox_is_enough_for_a_login(tmp_path):
    async def scenario(home):
        return await tried(home, times=2), home.problem

    assert play(tmp_path, scenario, Mailbox()) == (2, None)


def test_offers_and_counts_are_told_in_lines():
    offer = Offer("isp", "u", "abcd", 2_500_000, "a@b", "", b"", "get", 0.0, "user")
    assert line(offer) == "abcd  isp  2.5 MB  a@b  (no subject) (get)\n"
    poll = {"account": "isp", "in_mailbox": 5, "waiting": 2, "waiting_bytes": 99}
    assert counts({"polls": [poll]}) == "isp: 5 messages, 2 to be fetched (99 bytes)\n"
