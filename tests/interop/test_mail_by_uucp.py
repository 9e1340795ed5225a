"""Mail out of the queue to a neighbour, in one session: to real Taylor UUCP, and between nodes.

RELAYNODE_SOAK=1 plays it with all kinds of batches.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from peers.processes import free_port, wait_until
from peers.uucp_lines import Inetd
from uucp_node import UucpNode
from uucp_site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKED = ["rcsmtp", "rbsmtp", "rzsmtp"] if os.environ.get("RELAYNODE_SOAK") else []
COMMANDS = ["", "rsmtp", "rgsmtp", *PACKED]
MAILERTABLE = "beta.example uucp-dom:beta\nalpha.example uucp-dom:alpha\n"
ALL_COMMANDS = 'commands = ["rmail", "rsmtp", "rgsmtp", "rcsmtp", "rbsmtp", "rzsmtp"]\n'


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def letter(number: int) -> bytes:
    lines = [f"Letter {number}", "", ".", "..", "From here", ">From there", "x" * 900, "=E4 \xe4"]
    return f"Subject: {number}\n\n".encode() + "\n".join(lines).encode("latin-1") + b"\n"


def body_of(mail: bytes) -> bytes:
    return mail.partition(b"\n\n")[2]


def send(node: UucpNode, count: int, *to: str, sender: str = "ann@home.example") -> None:
    for number in range(count):
        ended = node.sendmail("-i", "-f", sender, *to, stdin=letter(number))
        assert ended.returncode == 0, ended.stderr


def knows(node: UucpNode) -> UucpNode:
    (node.folder / "tables" / "mailertable").write_text(MAILERTABLE)
    return node


def check_arrived(node: UucpNode, count: int) -> None:
    mails = node.mails("user")
    assert sorted(map(body_of, mails)) == sorted(body_of(letter(n)) for n in range(count))
    assert all(mail.startswith(b"Return-Path: <ann@home.example>\n") for mail in mails)


class Pair:
    """Nodes alpha, which calls, and beta, whose daemon answers, with the same keys for each."""

    def __init__(self, home: Path, keys: str = "") -> None:
        self.port = free_port()
        self.alpha = knows(
            UucpNode(
                home / "alpha",
                f'[neighbour.beta]\ncall = ["tcp:127.0.0.1:{self.port}"]\nlogin = "Ualpha"\n'
                f'password_file = "pw"\n{ALL_COMMANDS}{keys}[link.far]\n',
                node_keys='local_domains = ["alpha.example"]',
            )
        )
        self.beta = knows(
            UucpNode(
                home / "beta",
                '[neighbour.alpha]\ncalled_login = "Ualpha"\ncalled_password_file = "pw"\n'
                f'{ALL_COMMANDS}{keys}[listen.x]\nuucp = ["127.0.0.1:{self.port}"]\n[link.far]\n',
                node_keys='local_domains = ["beta.example"]',
            )
        )


def test_mail_of_the_queue_becomes_rmail_jobs_of_a_session_with_taylor(home):
    uucico = [home / "beta/bin/uucico", "-I", home / "beta/config", "-l"]
    with Inetd(uucico) as inetd:
        site = Site(
            home,
            f"tcp:127.0.0.1:{inetd.port}",
            keys='login = "Ualpha"\npassword_file = "pw"\nprotocols = "i"\n',
        )
        site.beta.speak("i")
        send(knows(site.alpha), 5, "bob@beta.example", "eve@beta.example")
        log = site.alpha.call("beta")
        inetd.wait()
    ran = site.beta.execute()
    assert [argv for argv, _ in ran] == [["bob@beta.example", "eve@beta.example"]] * 5
    assert sorted(body_of(mail) for _, mail in ran) == sorted(map(body_of, map(letter, range(5))))
    assert all(mail.startswith(b"From ann@home.example ") for _, mail in ran)
    assert log.count("beta mail Sending rmail bob@beta.example eve@beta.example") == 5
    assert site.alpha.jobs() == []
    assert "is empty" in site.alpha.sendmail("-bp").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_mail_goes_both_ways_in_one_call_singly_and_in_batches(home, command):
    pair = Pair(home, f'batch = "{command}"\n' if command else "")
    with pair.beta.daemon():
        send(pair.alpha, 4, "user@beta.example")
        send(pair.beta, 4, "user@alpha.example")
        log = pair.alpha.call("beta")
        pair.beta.wait_for_idle()
        assert wait_until(lambda: len(pair.beta.mails("user")) == 4, 20)
        assert wait_until(lambda: "is empty" in pair.beta.sendmail("-bp").stdout, 20)
    assert pair.alpha.run("flush").returncode == 0
    check_arrived(pair.beta, 4)
    check_arrived(pair.alpha, 4)
    assert log.count("Sending rmail") == (0 if command else 4)
    if command:
        assert f"beta mail Sending {command} (" in log
    assert "is empty" in pair.alpha.sendmail("-bp").stdout


def test_a_link_up_calls_whom_there_is_mail_for(home):
    pair = Pair(home, 'link = "far"\n')
    with pair.beta.daemon():
        send(pair.alpha, 2, "user@beta.example")
        send(pair.beta, 1, "user@alpha.example")
        ended = pair.alpha.run("linkup", "far", "--json")
        assert ended.returncode == 0, ended.stderr
        assert wait_until(lambda: len(pair.beta.mails("user")) == 2, 20)
    (call,) = json.loads(ended.stdout)["calls"]
    assert (call["neighbour"], call["sent_files"], call["received_files"]) == ("beta", 2, 1)
    assert call["bytes_out"] > 2 * len(letter(0)) and call["bytes_in"] > len(letter(0))
    assert len(pair.alpha.mails("user")) == 1


def test_a_daemon_calls_as_soon_as_there_is_mail(home):
    pair = Pair(home)
    with pair.beta.daemon(), pair.alpha.daemon():
        send(pair.alpha, 1, "user@beta.example")
        assert wait_until(lambda: len(pair.beta.mails("user")) == 1, 20)
        send(pair.alpha, 1, "user@beta.example")
        assert wait_until(lambda: len(pair.beta.mails("user")) == 2, 20)


def test_a_neighbour_that_does_not_answer_gets_its_mail_later(home):
    pair = Pair(home, 'link = "far"\n')
    send(pair.alpha, 1, "user@beta.example")
    assert pair.alpha.run("linkup", "far").returncode == 75
    listed = pair.alpha.sendmail("-bp").stdout
    assert "Connection refused" in listed
    with pair.beta.daemon():
        assert pair.alpha.run("linkup", "far").returncode == 0
        assert wait_until(lambda: len(pair.beta.mails("user")) == 1, 20)


def test_a_command_that_the_neighbour_does_not_allow_means_no_batches(home):
    pair = Pair(home, 'batch = "rgsmtp"\n')
    pair.beta.replace(ALL_COMMANDS, 'commands = ["rmail"]\n')
    with pair.beta.daemon():
        send(pair.alpha, 3, "user@beta.example")
        pair.alpha.call("beta")
        assert wait_until(lambda: len(pair.beta.mails("user")) == 3, 20)
    check_arrived(pair.beta, 3)
    assert pair.alpha.mails("postmaster") == []


def test_a_neighbour_needs_no_line_in_the_mailertable_for_its_own_name(home):
    pair = Pair(home)
    with pair.beta.daemon():
        send(pair.alpha, 1, "beta!user", sender="user")
        pair.alpha.call("beta")
        assert wait_until(lambda: len(pair.beta.mails("user")) == 1, 20)
    assert "neighbour" in pair.alpha.run("explain", "beta!user").stdout
