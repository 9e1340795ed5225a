"""A month of a dead line: hooks and cron go on, whole runs find nobody, and no mail suffers."""

import errno
import socket
import ssl

import pytest
import trustme

from homes import Home
from oddball import CLOSES, Oddball, ehlo
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


PORTAL = b"HTTP/1.1 302 Found\r\nLocation: http://hotel.example/login\r\n\r\n"


@pytest.mark.parametrize(
    ("greeting", "attempts"), [(PORTAL, 0), (CLOSES, 0), (b"", 0), (b"554 5.7.1 not you\r\n", 1)]
)
@pytest.mark.parametrize("is_due", [True, False])
def test_what_greets_like_no_mail_server_is_a_captive_portal_and_the_link_down(
    tmp_path, greeting, attempts, is_due
):
    """What stands in the way waits for a browser to speak, hangs up, or speaks HTTP itself; a mail
    server that sends us away is there."""
    with Oddball({b"greeting": greeting}) as server:
        home = Home(tmp_path, server.port, kind="event")
        home.queue()

        async def work(node):
            await node.store.set_link("isp", True, home.now)
            runs = node.links.run_due("isp") if is_due else node.links.run("isp")
            return await runs, await node.store.links_up()

        ended, links_up = home.play(work)
        problems = ended.problems if is_due else ended.all_problems
        assert server.sessions == 1
    assert links_up == ({"isp"} if attempts else set())
    assert any("taken to be down" in one for one in problems) is not bool(attempts)
    ((recipient,),) = [one.recipients for one in home.messages()]
    assert recipient.attempts == attempts


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(("kind", "attempts"), [("event", 0), ("always", 1)])
def test_another_hosts_certificate_is_a_captive_portals_where_the_line_comes_and_goes(
    tmp_path, tls, kind, attempts
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("hotel.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    keys = f'tls = "{tls}"\nca_file = "{tmp_path}/ca.pem"'
    answers = {b"EHLO": ehlo("STARTTLS")}
    with Oddball(answers, context=context, is_tls=tls == "tls") as server:
        home = Home(tmp_path / "node", server.port, keys, kind=kind)
        home.queue()
        assert any("127.0.0.1" in one for one in home.flush().all_problems)
    ((recipient,),) = [one.recipients for one in home.messages()]
    assert (recipient.attempts, recipient.reason) == (attempts, "tls-certificate")
