"""A month of a dead line: hooks and cron go on, whole runs find nobody, and no mail suffers."""

import errno
import socket

import pytest

from homes import Home
from oddball import Oddball
from relaynode.queue.model import RecipientState
from relaynode.queue.retry import DAY
from relaynode.wire import tcp

MAILS = 5


def no_network(*_, **__):
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


def no_answer(*_, **__):
    raise OSError(errno.ETIMEDOUT, "Connection timed out")


def no_dns(*_, **__):
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize("failure", [no_network, no_answer, no_dns])
def test_after_a_month_of_a_dead_line_everything_is_delivered_and_nobody_was_told(
    tmp_path, monkeypatch, failure
):
    with Oddball() as server:
        home = Home(tmp_path, server.port, kind="event")
        for number in range(MAILS):
            home.queue(queue_id=f"M{number}")
        with monkeypatch.context() as line:
            line.setattr(tcp, "open_connection", failure)
            for _ in range(30):
                home.now += DAY
                assert home.flush().flush.deferred == MAILS
        waiting = home.messages()
        assert len(waiting) == MAILS, "no warning, no bounce"
        found = [one for message in waiting for one in message.recipients]
        assert {(one.attempts, one.aged_seconds) for one in found} == {(0, 0.0)}
        home.now += 60
        assert home.flush().flush.delivered == MAILS
    ended = home.messages()
    assert len(ended) == MAILS
    states = {one.state for message in ended for one in message.recipients}
    assert states == {RecipientState.DELIVERED}


@pytest.mark.parametrize(
    ("number", "is_up", "attempts"),
    [(errno.ETIMEDOUT, set(), 0), (errno.EHOSTUNREACH, set(), 0), (errno.ECONNREFUSED, {"isp"}, 1)],
)
def test_a_line_that_went_without_a_word_is_taken_to_be_down(
    tmp_path, monkeypatch, number, is_up, attempts
):
    """What the daemon does with new mail; a host that refuses shows that the line is there."""

    def fail(*_, **__):
        raise OSError(number, "as the test says")

    async def work(node):
        await node.store.set_link("isp", True, home.now)
        result = await node.links.run_due("isp")
        return result, await node.store.links_up()

    home = Home(tmp_path, kind="event")
    home.queue()
    monkeypatch.setattr(tcp, "open_connection", fail)
    result, links_up = home.play(work)
    assert links_up == is_up
    assert any("taken to be down" in one for one in result.problems) is not bool(is_up)
    ((recipient,),) = [one.recipients for one in home.messages()]
    assert recipient.attempts == attempts
