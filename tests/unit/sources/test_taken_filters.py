"""Filters for mail that was taken before, by UUCP neighbours and in mailboxes."""

import asyncio

import pytest

from nodes import TestNode
from peers.odmr import OdmrServer
from relaynode.config.loader import load
from relaynode.links import fetching
from relaynode.milter.packets import encode
from relaynode.polls.account import Account
from relaynode.polls.fetched import Fetched
from relaynode.queue.memory import MemoryStore
from relaynode.queue.uucp.model import WorkState
from relaynode.sources.filters import source_filters_of
from relaynode.sources.intake import Rejected
from unit.polls.test_odmr import Home, mails
from unit.sources.scripted_filter import CONTINUE, Scripted, filters_that_ask
from unit.sources.test_uucp_mail import SECTIONS, Stage

NO = encode(b"y", b"550 5.7.1 no such mail\0")
LATER, AWAY = encode(b"t"), encode(b"d")
TAGGED = encode(b"h", b"X-Seen\0yes\0") + CONTINUE


def by_uucp(folder, scenario, scripted):
    async def run():
        node = TestNode(folder, SECTIONS).open(store=MemoryStore(folder / "scratch"))
        node.uucp_mail._filters = filters_that_ask(scripted, daemon_name="uucp")
        try:
            return await scenario(Stage(node))
        finally:
            await node.close()

    return asyncio.run(run())


def test_mail_of_a_neighbour_is_shown_to_the_filters_and_changed_as_they_say(tmp_path):
    scripted = Scripted({"E": TAGGED})

    async def scenario(stage):
        ended = await stage.run("rmail", "user", "nobody-here")
        ((envelope, trace, content),) = await stage.queued()
        return (
            ended.state,
            [one.mailer for one in envelope.recipients],
            trace + content.decode("l1"),
        )

    state, mailers, text = by_uucp(tmp_path, scenario, scripted)
    assert state is WorkState.DONE
    assert mailers.count("error") == 1
    assert "\r\nX-Seen: yes\r\n" in text
    assert scripted.calls[0].count("R") == 1  # not the one that was refused here
    (macros,) = [
        one.data for one in scripted.packets if one.data[:1] == b"C" and b"j\0" in one.data
    ]
    assert b"{daemon_name}\0uucp\0" in macros


def test_what_a_filter_refuses_for_good_goes_back_to_its_sender(tmp_path):
    async def scenario(stage):
        ended = await stage.run("rmail", "user", "other@far.example")
        return ended.state, await stage.dsns()

    state, dsns = by_uucp(tmp_path, scenario, Scripted({"M": NO}))
    assert state is WorkState.DONE
    assert list(dsns) == ["alice@far.example"]
    assert "550 5.7.1 no such mail" in dsns["alice@far.example"]


def test_mail_is_not_taken_while_a_filter_cannot_judge_it(tmp_path):
    async def scenario(stage):
        ended = await stage.run("rmail", "user")
        waiting = await stage.queued()
        stage.node.uucp_mail._filters = None
        return ended.state, waiting

    assert by_uucp(tmp_path, scenario, Scripted({"M": LATER})) == (WorkState.WAITING, [])
    away = Scripted(is_there=False)
    assert by_uucp(tmp_path / "2", scenario, away) == (WorkState.WAITING, [])


def test_what_a_filter_throws_away_ends_its_execution(tmp_path):
    async def scenario(stage):
        return (await stage.run("rmail", "user")).state, await stage.queued()

    assert by_uucp(tmp_path, scenario, Scripted({"E": AWAY})) == (WorkState.DONE, [])


def test_of_a_batch_each_message_is_judged_alone(tmp_path):
    async def scenario(stage):
        letter = b"MAIL FROM:<a@b.example>\nRCPT TO:<%s>\nDATA\nSubject: x\n\ny\n.\n"
        data = b"HELO alpha\n" + letter % b"user" + letter % b"postmaster" + b"QUIT\n"
        ended = await stage.run("rsmtp", data=data)
        assert ended.state is WorkState.DONE
        return [
            [one.mailer for one in envelope.recipients] for envelope, *_ in await stage.queued()
        ]

    class OnlyTheFirst(Scripted):
        async def open(self):
            self.answers = {"M": NO} if self.calls else {}
            return await super().open()

    assert by_uucp(tmp_path, scenario, OnlyTheFirst()) == [[""], ["error"]]


# --- fetched


def fetch(folder, scripted, *, times=1):
    """What a message leads to that was fetched: messages with why they are held, and the marks."""

    async def run():
        store = MemoryStore(folder / "scratch")
        node = TestNode(folder).open(store=store)
        account = Account(
            name="isp",
            server="pop.example",
            open=None,
            login=None,
            deliver_to="user",
            filters=filters_that_ask(scripted, daemon_name="poll"),
        )
        fetched = Fetched(account, node.intake, "POP3")
        fetched.prepare()
        collector = fetched.collector()
        collector.write(b"From: a@b.example\r\n\r\nbody\r\n")
        try:
            await fetched.queue(collector, uid="u1", peer="pop.example [192.0.2.9]")
        except Rejected as error:
            told = error.status.code
        else:
            told = 0
        queued = [entry.message.hold_reason for entry in store._entries.values()]
        marks = await store.mailboxes.seen("isp")
        await node.close()
        return told, queued, marks

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, (0, [""], {"u1"})),
        ({"E": TAGGED}, (0, [""], {"u1"})),
        ({"M": NO}, (0, ["refused: 550 5.7.1 no such mail"], {"u1"})),
        ({"E": NO}, (0, ["refused: 550 5.7.1 no such mail"], {"u1"})),
        ({"E": AWAY}, (0, [], {"u1"})),
        ({"E": LATER}, (451, [], set())),
    ],
)
def test_fetched_mail_is_kept_held_thrown_away_or_left_there(tmp_path, answers, expected):
    assert fetch(tmp_path, Scripted(answers)) == expected


def test_mail_that_comes_by_odmr_is_refused_while_its_server_is_there(tmp_path, monkeypatch):
    scripted = Scripted({"E": NO})
    found = {"odmr": filters_that_ask(scripted, daemon_name="odmr")}
    monkeypatch.setattr(fetching, "source_filters_of", lambda config, name: found.get(name))

    async def run():
        home = Home(tmp_path, monkeypatch)
        server = OdmrServer(mails(1))
        try:
            await home.fetch(server)
            return await home.queued(), [one for one in server.replies if one[0] in "45"]
        finally:
            await home.node.close()

    queued, refused = asyncio.run(run())
    assert queued == []
    assert refused == ["550 5.7.1 no such mail"]


def test_each_filter_sees_the_sources_that_it_names(tmp_path):
    path = tmp_path / "relaynode.toml"
    path.write_text(
        '[milter.a]\nsocket = "unix:/a"\nsources = ["uucp", "poll"]\n'
        '[milter.b]\nsocket = "unix:/b"\nsources = ["poll"]\n[milter.c]\nsocket = "unix:/c"\n'
    )
    config = load(path)

    def names(source):
        found = source_filters_of(config, source)
        return None if found is None else [one.name for one in found.filters]

    assert [names(one) for one in ("uucp", "poll", "odmr")] == [["a"], ["a", "b"], None]


@pytest.mark.parametrize(("sources", "asked"), [('["uucp"]', ["a"]), ('["poll"]', None)])
def test_a_node_asks_the_filters_that_name_uucp_about_neighbours_mail(tmp_path, sources, asked):
    milter = f'[milter.a]\nsocket = "unix:/a"\nsources = {sources}\n'
    node = TestNode(tmp_path, SECTIONS + milter).open(store=MemoryStore(tmp_path / "scratch"))
    found = node.uucp_mail._filters
    assert (found and [one.name for one in found.filters]) == asked
