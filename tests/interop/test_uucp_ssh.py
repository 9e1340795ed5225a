"""Calls through ssh: the forced command of a key is the other side's answering program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from peers.sshd import LOGIN, Sshd
from uucp_node import UucpNode, executes, fetches
from uucp_site import TAYLORS_USER, Site, content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def test_we_call_our_answer_through_ssh(home):
    answering = UucpNode(
        home / "beta", f'[neighbour.alpha]\ncalled_login = "{TAYLORS_USER}"\ncommands = ["cat"]\n'
    )
    answering.offer("theirs", content(200_000, 2))
    answering.give_away()
    with Sshd(home / "ssh", str(answering.program("answer"))) as sshd:
        calling = UucpNode(home / "alpha", f'[neighbour.beta]\ncall = ["pipe:{sshd.client()}"]\n')
        calling.queue(
            calling.sends("beta", content(1 << 20, 1), "ours"),
            fetches("beta", "theirs", "got"),
            executes("beta", "cat", b"text\n"),
        )
        log = calling.call("beta")
        answering.wait_for_idle(1)
    assert (answering.public / "ours").read_bytes() == content(1 << 20, 1)
    assert (calling.public / "got").read_bytes() == content(200_000, 2)
    assert [one.state.value for one in answering.executions()] == ["done"]
    assert "Call complete" in log
    assert LOGIN in sshd.log


def test_a_key_that_is_not_ours_leads_nowhere(home):
    with Sshd(home / "ssh", "false") as sshd:
        client = sshd.client()
        (home / "ssh" / "authorized").write_text("")
        calling = UucpNode(home / "alpha", f'[neighbour.beta]\ncall = ["pipe:{client}"]\n')
        calling.queue(calling.sends("beta", b"x", "ours"))
        log = calling.call("beta", code=75)
    assert "Permission denied (publickey)" in log
    assert "beta - ERROR: " in log
    assert len(calling.jobs()) == 1


def test_taylor_calls_us_through_ssh(home):
    site = Site(home, keys=f'called_login = "{TAYLORS_USER}"\n')
    site.fill()
    site.alpha.give_away()
    with Sshd(home / "ssh", str(site.alpha.program("answer"))) as sshd:
        client = sshd.client(TAYLORS_USER)
        site.beta.speak("i", way=f"port type pipe\nport command {client}")
        assert site.beta.begin_call().wait(60) == 0, site.beta.log() + sshd.log
        site.alpha.wait_for_idle(1)
    site.check()
    site.check_record("i", is_caller=False)


def test_we_call_taylors_uucico_through_ssh(home):
    uucico = f"{home}/beta/bin/uucico -I {home}/beta/config"
    with Sshd(home / "ssh", uucico) as sshd:
        site = Site(home, f"pipe:{sshd.client()}", keys='protocols = "i"\n')
        site.beta.speak("i")
        site.fill()
        site.alpha.call("beta")
    site.check()
    site.check_record("i", is_caller=True)
