"""ETRN at link-up: what is asked, what is told, and that the flush does not mind."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.links.wish import ALL, Wish
from relaynode.queue.memory import MemoryStore
from relaynode.wire import tcp
from relaynode.wire.memory import pair

SECTIONS = """
[etrn.mx2]
host = "mx2.example"
tls = "none"
domains = ["home.example", "@lan.example", "#night"]
"""


class Secondary:
    """A server that answers each command from a list; the rest of it is as usual."""

    def __init__(self, answers, *, extensions=("ETRN",), goodbye=b"221 bye\r\n"):
        self.answers = [answer.encode() + b"\r\n" for answer in answers]
        self.hello = b"".join(b"250-%s\r\n" % one.encode() for one in ("mx2", *extensions))
        self.goodbye = goodbye
        self.asked = []

    async def serve(self, stream):
        await stream.write(b"220 mx2.example ready\r\n")
        while line := (await stream.read()).decode().strip():
            if line.startswith("EHLO"):
                await stream.write(self.hello + b"250 SIZE\r\n")
            elif line == "QUIT":
                await stream.write(self.goodbye)
                break
            else:
                self.asked.append(line)
                await stream.write(self.answers.pop(0))
        await stream.close()


def link_up(tmp_path, monkeypatch, server, wish=ALL):
    """The summary of a run over the link, as --json has it."""
    serving = []

    async def connect(host, port, **_):
        assert (host, port) == ("mx2.example", 25)
        ours, theirs = pair("mx2.example [192.0.2.5]", "node")
        serving.append(asyncio.ensure_future(server.serve(theirs)))
        return ours

    async def run():
        monkeypatch.setattr(tcp, "connect", connect)
        node = TestNode(tmp_path, SECTIONS).open(store=MemoryStore(tmp_path / "scratch"))
        summary = await node.links.run("default", wish)
        await asyncio.gather(*serving, return_exceptions=True)  # it may be hung up on
        await node.close()
        return summary

    return asyncio.run(run())


def test_a_server_is_asked_for_each_name_and_its_words_are_told(tmp_path, monkeypatch):
    answers = ["250 started", "251 no mail for it", "253 2.0.0 7 pending messages started"]
    server = Secondary(answers)
    summary = link_up(tmp_path, monkeypatch, server)
    assert server.asked == ["ETRN home.example", "ETRN @lan.example", "ETRN #night"]
    assert summary.is_clean
    assert summary.as_json()["asked"][2] == {
        "server": "mx2",
        "asked_for": "#night",
        "code": 253,
        "text": "7 pending messages started",
    }


def test_what_a_refusal_means_is_told_and_the_next_name_is_asked_for(tmp_path, monkeypatch):
    server = Secondary(["458 no way", "459 not you", "501 what?"])
    summary = link_up(tmp_path, monkeypatch, server)
    assert summary.as_json()["problems"] == [
        "etrn mx2: it cannot send now: home.example: 458 no way",
        "etrn mx2: it does not send to us at our asking: @lan.example: 459 not you",
        "etrn mx2: it does not understand the name: #night: 501 what?",
    ]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (Secondary([], extensions=()), "ETRN is not offered"),
        (Secondary(["421 4.3.2 down"]), "closing: 421 4.3.2 down"),
        (Secondary(["250 ok\r\n421 4.3.2 down"]), "closed the session"),
        (Secondary(["nonsense"]), "no SMTP reply"),
        (Secondary(["354 go"]), "unexpected reply to ASKED"),
    ],
)
def test_what_goes_wrong_is_told_and_the_run_goes_on(tmp_path, monkeypatch, server, told):
    summary = link_up(tmp_path, monkeypatch, server)
    (problem,) = summary.problems
    assert problem.startswith("etrn mx2: ")
    assert told in problem


def test_a_server_that_says_no_goodbye_has_been_asked(tmp_path, monkeypatch):
    summary = link_up(tmp_path, monkeypatch, Secondary(["250 ok"] * 3, goodbye=b""))
    assert summary.is_clean


@pytest.mark.parametrize(
    ("wish", "is_asked"),
    [
        (ALL, True),
        (Wish(poll=False), False),
        (Wish(flush=False, accounts=("mx2",)), True),
        (Wish(flush=False, accounts=("isp",)), False),
    ],
)
def test_it_is_a_part_of_fetching(tmp_path, monkeypatch, wish, is_asked):
    server = Secondary(["250 ok"] * 3)
    link_up(tmp_path, monkeypatch, server, wish)
    assert bool(server.asked) == is_asked
