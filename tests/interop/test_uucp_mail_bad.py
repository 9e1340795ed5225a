"""Mail over UUCP that cannot be taken, in a session with mail that can: each bad one is refused or
goes back with the reason, and the others arrive."""

from __future__ import annotations

import gzip
import random
import string
from typing import TYPE_CHECKING

import pytest

from nodes import body_of
from peers.folders import leave_home, make_home
from peers.hostile_uucp import HostileCaller
from peers.processes import free_port, wait_until
from uucp_letters import queue_all
from uucp_node import UucpNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nodes import NodeDaemon

MAX_BYTES = 50_000
BOMB_BYTES = 100 * 1024 * 1024
DATE = "Sat Nov 21 10:00:00 2026"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def letter(subject: str, size: int = 0) -> bytes:
    text = random.Random(size).choices(string.ascii_lowercase, k=size)
    return f"Subject: {subject}\n\n{''.join(text)}\n".encode()


def message(subject: str, *to: str, size: int = 0) -> bytes:
    """One of a batch. Failures go to the postmaster."""
    lines = ["MAIL FROM:<postmaster@bsd.home>", *(f"RCPT TO:<{one}>" for one in to), "DATA", ""]
    return "\n".join(lines).encode() + letter(subject, size) + b".\n"


def subjects(node: UucpNode, user: str) -> list[str]:
    return sorted(
        line.removeprefix(b"Subject: ").decode()
        for mail in node.mails(user)
        for line in mail.partition(b"\n\n")[0].splitlines()
        if line.startswith(b"Subject: ")
    )


def dsn_about(node: UucpNode, subject: str) -> bytes:
    """The one failure notice that has this subject of ours in it."""
    mails = node.mails("postmaster")
    (found,) = (one for one in mails if f"\nSubject: {subject}\n".encode() in body_of(one))
    return found


class Target:
    """A node alpha, and us as its neighbour beta."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.node = UucpNode(
            home / "alpha",
            '[neighbour.beta]\ncalled_login = "Ubeta"\ncalled_password_file = "pw"\n'
            f'commands = ["rmail", "rgsmtp"]\nmax_remote_request_bytes = {3 * MAX_BYTES}\n'
            f'[listen.x]\nuucp = ["127.0.0.1:{self.port}"]\n'
            f"[queue]\nmessage_size_bytes = {MAX_BYTES}\n",
        )

    def given(self, *executions: tuple[str, bytes]) -> NodeDaemon:
        """One call with these commands and their input; all that comes of it is done."""
        with self.node.daemon() as daemon:
            with HostileCaller(self.port) as beta:
                beta.log_in("Ubeta")
                assert beta.shake_hands("beta").startswith(b"ROKN0")
                for number, (command, content) in enumerate(executions):
                    temp = f"D.{number:04}"
                    request = f"E {temp} D.betaC{number:04} ann -CR {temp} 0666 postmaster@bsd.home"
                    assert beta.ask(f"{request} {hex(len(content))} {command}") == b"EY"
                    assert beta.send(content) == b"CY"
                beta.hang_up()
            self.node.wait_for_idle(1)
            assert wait_until(lambda: "is empty" in self.node.sendmail("-bp").stdout, 30)
            assert "Traceback" not in daemon.log()
        return daemon

    def ends(self) -> list[tuple[str, str]]:
        """The executions: command and state."""
        return [(one.new.command[0], one.state.value) for one in self.node.executions()]


def good(number: int) -> tuple[str, bytes]:
    return "rmail user", f"From x@far.example {DATE}\n".encode() + letter(f"good {number}")


def test_a_batch_cut_in_its_middle_is_delivered_as_far_as_it_is_whole(home):
    target = Target(home)
    texts = [message(f"whole {number}", "user@bsd.home") for number in range(3)]
    cut = message("cut", "user@bsd.home", size=30_000)
    plain = b"HELO beta\n" + b"".join(texts) + cut[:20_000]
    packed = gzip.compress(
        b"".join(texts).replace(b"whole", b"packed") + cut.replace(b"t: c", b"t: s")
    )
    target.given(good(0), ("rgsmtp", plain), ("rgsmtp", packed[:-30]), good(1))
    wanted = [f"{what} {number}" for what in ("packed", "whole") for number in range(3)]
    assert subjects(target.node, "user") == ["good 0", "good 1", *wanted]
    for subject in ("cut", "sut"):
        assert b"\nStatus: 5.6.0\n" in dsn_about(target.node, subject)
        assert b"The message was cut off on its way" in dsn_about(target.node, subject)
    assert subjects(target.node, "postmaster").count("Mail from beta may be missing") == 2
    assert sorted(target.ends()) == [*[("rgsmtp", "failed")] * 2, *[("rmail", "done")] * 2]


def test_a_bomb_fills_neither_disk_nor_mailbox_and_what_was_before_it_arrives(home):
    target = Target(home)
    start = message("before", "user@bsd.home") + message("bomb", "user@bsd.home")[:-3]
    bomb = gzip.compress(start + bytes(BOMB_BYTES))
    assert len(bomb) < 3 * MAX_BYTES
    target.given(good(0), ("rgsmtp", bomb), good(1))
    assert subjects(target.node, "user") == ["before", "good 0", "good 1"]
    assert b"\nStatus: 5.3.4\n" in dsn_about(target.node, "bomb")
    assert len(dsn_about(target.node, "bomb")) < MAX_BYTES
    kept = [path for path in (target.node.folder / "spool").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in kept) < BOMB_BYTES // 10


def test_envelopes_that_name_nobody_go_back_and_the_rest_of_the_batch_arrives(home):
    target = Target(home)
    batch = (
        b"HELO beta\n"
        + message("first", "user@bsd.home")
        + message("to nobody")
        + message("to a stranger", "stranger@bsd.home", "user@bsd.home")
        + message("last", "user@bsd.home")
        + b"QUIT\n"
    )
    target.given(("rgsmtp", batch), ("rmail", good(5)[1]), good(0))
    assert subjects(target.node, "user") == ["first", "good 0", "last", "to a stranger"]
    assert b"the message names no recipient" in dsn_about(target.node, "to nobody")
    assert b"\nStatus: 5.1.1\n" in dsn_about(target.node, "to a stranger")
    assert target.ends().count(("rmail", "failed")) == 1
    assert any(b"usage: rmail user ..." in mail for mail in target.node.mails("postmaster"))


def test_a_mail_that_is_too_large_goes_back_and_a_file_that_is_too_large_is_not_sent(home):
    target = Target(home)
    large = f"From postmaster@bsd.home {DATE}\n".encode() + letter("large", MAX_BYTES)
    batch = message("small", "user@bsd.home") + message("wide", "user@bsd.home", size=MAX_BYTES)
    target.given(good(0), ("rmail user", large), ("rgsmtp", gzip.compress(batch)), good(1))
    assert subjects(target.node, "user") == ["good 0", "good 1", "small"]
    for subject in ("large", "wide"):
        assert b"\nStatus: 5.3.4\n" in dsn_about(target.node, subject)
    with target.node.daemon(), HostileCaller(target.port) as beta:
        beta.log_in("Ubeta")
        assert beta.shake_hands("beta").startswith(b"ROKN0")
        request = 'E D.0009 D.betaC0009 ann -C D.0009 0666 ""'
        assert beta.ask(f"{request} {hex(3 * MAX_BYTES + 1)} rmail user") in (b"EN6", b"EN7")
        beta.hang_up()


def test_a_forbidden_command_is_refused_and_said_and_mail_beside_it_arrives(home):
    target = Target(home)
    with target.node.daemon() as daemon:
        with HostileCaller(target.port) as beta:
            beta.log_in("Ubeta")
            assert beta.shake_hands("beta").startswith(b"ROKN0")
            xfile = b"U ann beta\nR postmaster@bsd.home\nF D.data\nI D.data\nC rsmtp\n"
            for name, content in (("D.data", message("x", "user")), ("X.evil", xfile)):
                assert beta.ask(f'S x {name} ann -C D.{name[0]}1 0666 "" 0x1') == b"SY"
                beta.send(content)
            assert beta.ask('E D.2 D.betaC2 ann -C D.2 0666 "" 0x4 rsmtp') == b"EN2"
            command, content = good(0)
            assert beta.ask(f'E D.3 D.betaC3 ann -C D.3 0666 "" 0x0 {command}') == b"EY"
            assert beta.send(content) == b"CY"
            beta.hang_up()
        target.node.wait_for_idle(1)
        assert wait_until(lambda: target.node.mails("user") and target.node.mails("postmaster"), 20)
        assert "Traceback" not in daemon.log()
    assert subjects(target.node, "user") == ["good 0"]
    (said,) = target.node.mails("postmaster")
    assert b"\nSubject: Execution failed\n" in said and b"not permitted" in said.lower()
    assert sorted(target.ends()) == [("rmail", "done"), ("rsmtp", "failed")]


# --- our own mail


class Pair:
    """Alpha, which calls, and beta, whose daemon answers."""

    def __init__(self, home: Path, *, alphas: str = "", betas: str = "") -> None:
        port = free_port()
        commands = 'commands = ["rmail", "rgsmtp"]\n'
        self.alpha = UucpNode(
            home / "alpha",
            f'[neighbour.beta]\ncall = ["tcp:127.0.0.1:{port}"]\nlogin = "Ualpha"\n'
            f'password_file = "pw"\n{commands}{alphas}',
        )
        (self.alpha.folder / "tables" / "mailertable").write_text("beta.example uucp-dom:beta\n")
        self.beta = UucpNode(
            home / "beta",
            '[neighbour.alpha]\ncalled_login = "Ualpha"\ncalled_password_file = "pw"\n'
            f'{commands}{betas}[listen.x]\nuucp = ["127.0.0.1:{port}"]\n',
            node_keys='local_domains = ["beta.example"]',
        )

    def send(self, *sizes: int) -> None:
        contents = [letter(f"size {size}", size) for size in sizes]
        queue_all(
            self.alpha,
            [("postmaster@bsd.home", ["user@beta.example"], content) for content in contents],
        )

    def carry(self, arriving: int) -> None:
        """Call; so many mails arrive. What comes back is delivered."""
        with self.beta.daemon():
            self.alpha.call("beta")
            assert wait_until(lambda: len(self.beta.mails("user")) >= arriving, 20)
            self.beta.wait_for_idle(1)
        assert self.alpha.run("flush").returncode == 0
        assert "is empty" in self.alpha.sendmail("-bp").stdout
        assert self.alpha.jobs() == []


@pytest.mark.parametrize("batch", ["", 'batch = "rgsmtp"\n'], ids=["singly", "batch"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_mail_above_the_neighbour_s_limit_comes_back_and_the_others_go(home, whose, batch):
    """Our limit for it, or its own for files: then a batch that is too large goes singly."""
    if whose == "ours":
        pair = Pair(home, alphas=f"max_mail_bytes = 20000\n{batch}")
    else:
        pair = Pair(home, alphas=batch, betas="max_remote_request_bytes = 20000\n")
    pair.send(100, 9000, 10_000, 11_000, 20_001)
    pair.carry(4)
    assert subjects(pair.beta, "user") == ["size 100", "size 10000", "size 11000", "size 9000"]
    dsn = dsn_about(pair.alpha, "size 20001")
    assert b"\nStatus: 5.3.4\n" in dsn
    assert b"oo large" in dsn


def test_a_batch_above_the_neighbour_s_limit_does_not_come_back_whole(home):
    """Of that limit we know nothing before."""
    pair = Pair(
        home,
        alphas='batch = "rgsmtp"\nbatch_bytes = 90000\n',
        betas="max_remote_request_bytes = 2000\n",
    )
    pair.send(*range(10, 70))
    pair.carry(60)
    assert len(pair.beta.mails("user")) == 60
    assert pair.alpha.mails("postmaster") == []
