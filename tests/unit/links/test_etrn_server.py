"""ETRN, the server's side: what waits for a domain is sent over the links that are up."""

import asyncio
from types import SimpleNamespace

import pytest

from relaynode.errors import BusyError
from relaynode.links import etrn_server
from relaynode.links.etrn_server import EtrnServer
from relaynode.queue.memory import MemoryStore
from relaynode.smtp.events import SendNow
from unit.links.scripted import message


class Links:
    """What runs were asked for. `is_busy`: somebody else has the link."""

    def __init__(self):
        self.runs, self.is_busy = [], False

    async def run(self, link, wish):
        self.runs.append((link, wish.flush, wish.poll, wish.only))
        if self.is_busy:
            raise BusyError("a run is under way")


def ask(tmp_path, *asked, kind="always", is_busy=False, up=()):
    """The replies to SendNow events, and the runs that came of them."""

    async def run():
        store = MemoryStore(tmp_path / "scratch")
        letters = [message("A", "x@kept.example", "y@Sub.Kept.Example"), message("B", "z@far.ex")]
        await store.add(letters)
        for link in up:
            await store.set_link(link, True, 0.0)
        config = SimpleNamespace(links={"isp": SimpleNamespace(kind=kind)}, mail_links=["isp"])
        links = Links()
        links.is_busy = is_busy
        server = EtrnServer(config, store, links)
        replies = [await server.send_now(one) for one in asked]
        if server._task is not None:
            await server._task
        await server.close()
        return [status.code for status in replies], links.runs

    return asyncio.run(run())


def test_what_waits_for_a_domain_is_sent_and_nothing_is_polled(tmp_path):
    replies, runs = ask(tmp_path, SendNow("kept.example", False))
    assert replies == [253]
    assert runs == [("isp", True, False, (("R", "@kept.example"),))]


def test_with_all_below_it_if_that_is_asked(tmp_path):
    asked = SendNow("sub.kept.example", False), SendNow("example", False), SendNow("example", True)
    replies, runs = ask(tmp_path, *asked)
    assert replies == [253, 251, 253]
    assert [only for *_, only in runs] == [(("R", "@sub.kept.example"),), (("R", "example"),)]


def test_where_nothing_waits_nothing_is_begun(tmp_path):
    assert ask(tmp_path, SendNow("other.example", False)) == ([251], [])


@pytest.mark.parametrize(("up", "code"), [((), 458), (("isp",), 253)])
def test_a_link_that_is_down_is_not_brought_up_for_it(tmp_path, up, code):
    replies, runs = ask(tmp_path, SendNow("kept.example", False), kind="event", up=up)
    assert (replies, len(runs)) == ([code], len(up))


def test_a_run_that_is_under_way_is_no_trouble(tmp_path):
    replies, runs = ask(tmp_path, SendNow("kept.example", False), is_busy=True)
    assert (replies, len(runs)) == ([253], 1)


def test_one_domain_asked_for_often_is_sent_once(tmp_path, monkeypatch):
    monkeypatch.setattr(etrn_server, "MAX_WAITING", 1)
    often = [SendNow("kept.example", False)] * 5
    replies, runs = ask(tmp_path, *often, SendNow("far.ex", False))
    assert replies == [253] * 5 + [458]
    assert len(runs) == 1
