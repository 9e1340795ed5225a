"""Mail that comes in over UUCP: by our rmail under Taylor's uuxqt, and by Taylor's uux to us."""

from __future__ import annotations

import re
import shlex
import subprocess
import sysconfig
from typing import TYPE_CHECKING

import pytest

from nodes import SOURCE, body_of
from peers.folders import leave_home, make_home
from peers.processes import wait_until
from peers.taylor import Taylor, as_user
from relaynode.mail.bsmtp import BatchMessage, BatchRecipient, batch
from relaynode.mail.packing import pack
from uucp_node import UucpNode
from uucp_site import LOGIN, TAYLORS_USER, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATE = "Sat Nov 21 10:00:00 2026"
HEAD = b"From: Alice <alice@far.example>\nTo: user\nSubject: %s\n\n"
BODY = b".\n..\n>From the pot\nFrom here\n\xe4\xff\x00 \rx\n" + b"long" * 500 + b"\n\n \n"

_RMAIL = """\
#!/bin/sh
export RELAYNODE_CONFIG={config} PYTHONPATH={path}
exec {launcher} "$@"
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("rmail")
    yield folder
    leave_home(folder, tmp_path / "rmail", ())


def mail(subject: str, *lines: str, body: bytes = BODY) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode() + HEAD % subject.encode() + body


def by_subject(node: UucpNode, count: int, user: str = "user") -> dict[str, bytes]:
    """What a user has got, when that are so many."""
    assert wait_until(lambda: len(node.mails(user)) >= count, 30), node.mails(user)
    found = node.mails(user)
    assert len(found) == count
    return {re.search(rb"^Subject: (.*)$", one, re.M)[1].decode(): one for one in found}


def sender(content: bytes) -> str:
    """What the last mailer says of the reverse-path."""
    return re.match(rb"Return-Path: <(.*)>\n", content)[1].decode()


class Behind:
    """Taylor's beta, for which our node is rmail, and Taylor's alpha, which sends it mail."""

    def __init__(self, home: Path) -> None:
        self.alpha = Taylor(home / "alpha", "alpha", ["beta"])
        self.beta = Taylor(home / "beta", "beta", ["alpha"])
        self.node = UucpNode(home / "node", "")
        self.node.give_away()
        bin_folder = self.node.folder / "bin"
        # By us, since it compiles the launcher beside its source, and with a Python for all users.
        subprocess.run(
            self.node.command("install-names", str(bin_folder)),
            env=self.node.environment,
            capture_output=True,
            check=True,
        )
        path = f"{SOURCE}:{sysconfig.get_path('purelib')}"
        names = ("rmail", "rsmtp", "rgsmtp")
        for name in names:
            script = self.beta.folder / "commands" / name
            script.write_text(
                _RMAIL.format(
                    config=shlex.quote(str(self.node.path)),
                    path=shlex.quote(path),
                    launcher=shlex.quote(str(bin_folder / name)),
                )
            )
            script.chmod(0o755)
        systems = self.beta.folder / "sys"
        text = systems.read_text()
        systems.write_text(text.replace("commands rmail\n", f"commands {' '.join(names)}\n"))

    def send(self, content: bytes, *words: str) -> None:
        """Queue a command at alpha."""
        command = [self.alpha.uux, "-", "-r", f"beta!{words[0]}", *words[1:]]
        subprocess.run(command, input=content, cwd="/", check=True, timeout=60, **as_user())

    def deliver(self) -> None:
        """Carry all of it to beta, and have it run."""
        self.alpha.call(self.beta)
        self.beta.execute()

    def left(self) -> list[str]:
        """The executions that beta has not done, and those that failed."""
        spool = self.beta.folder / "spool"
        return [path.relative_to(spool).parts[0] for path in spool.rglob("X./X.*")]


FROM_ALPHA = f"From alice {DATE} remote from alpha"

QUIRKS = {
    "one-hop": ([FROM_ALPHA], "alpha!alice"),
    "two-hops": ([FROM_ALPHA, f">From carl {DATE} remote from gamma"], "alpha!gamma!carl"),
    "forwarded": (
        [f"From beta!carl {DATE} remote from alpha", f">From beta!x {DATE} forwarded by foo"],
        "alpha!beta!x",
    ),
    "domain": ([f"From alice@example.org {DATE} remote from alpha"], "alice@example.org"),
    "uucp-dom": ([f"From alice@example.org {DATE}"], "alice@example.org"),
    "no-remote": ([f"From alice {DATE}"], "alpha!alice"),
    "crlf": ([f"{FROM_ALPHA}\r"], "alpha!alice"),
    "null": ([f"From <> {DATE} remote from alpha"], ""),
    "daemon": ([f"From MAILER-DAEMON {DATE} remote from alpha"], ""),
    "twice": ([f"From alpha!alice {DATE} remote from alpha"], "alpha!alice"),
    "pretended": ([f"From alice {DATE} remote from bank"], "alpha!bank!alice"),
}


def check_quirks(found: dict[str, bytes]) -> None:
    assert {name: sender(found[name]) for name in QUIRKS} == {
        name: path for name, (_, path) in QUIRKS.items()
    }
    for name in QUIRKS:
        assert body_of(found[name]) == BODY
        header = found[name].partition(b"\n\n")[0]
        assert b"\nFrom " not in header and b"\n>From " not in header


# --- our rmail, run by Taylor's uuxqt


@pytest.mark.parametrize("has_daemon", [True, False], ids=["daemon", "alone"])
def test_taylors_uuxqt_runs_our_rmail(home: Path, has_daemon: bool) -> None:
    behind = Behind(home)
    for name, (lines, _) in QUIRKS.items():
        behind.send(mail(name, *lines), "rmail", "user")
    if has_daemon:
        with behind.node.daemon():
            behind.deliver()
            found = by_subject(behind.node, len(QUIRKS))
    else:
        behind.deliver()
        found = by_subject(behind.node, len(QUIRKS))
    check_quirks(found)
    assert behind.left() == []
    assert "Exit status" not in behind.beta.log()
    trace = rb"\nReceived: from alpha\.UUCP \(\w+@localhost\)\n\tby bsd\.home \(.*\) with UUCP id "
    assert all(re.search(trace, one) for one in found.values())


def test_what_is_no_mail_is_said_by_the_exit_status(home: Path) -> None:
    behind = Behind(home)
    behind.send(mail("headless"), "rmail", "user")
    behind.send(mail("option", FROM_ALPHA), "rmail", "-oQ/tmp/x", "user")
    behind.send(mail("good", FROM_ALPHA), "rmail", "user")
    behind.deliver()
    assert list(by_subject(behind.node, 1)) == ["good"]
    log = behind.beta.log()
    assert log.count("Exit status 65") == 1
    assert log.count("Exit status 64") == 1
    assert behind.left() == [".Failed"] * 2


def test_what_cannot_be_taken_now_is_tried_again(home: Path) -> None:
    behind = Behind(home)
    text = behind.node.path.read_text()
    behind.node.path.write_text("this is no TOML\n")
    behind.send(mail("later", FROM_ALPHA), "rmail", "user")
    behind.deliver()
    assert "Will retry later" in behind.beta.log()
    assert behind.left() == ["alpha"]
    behind.node.path.write_text(text)
    behind.beta.execute()
    assert list(by_subject(behind.node, 1)) == ["later"]
    assert behind.left() == []


def test_taylors_uuxqt_runs_our_commands_for_batches(home: Path) -> None:
    behind = Behind(home)
    behind.send(packed_batch("rgsmtp", 20), "rgsmtp")
    behind.send(packed_batch("rsmtp", 3, "more"), "rsmtp")
    with behind.node.daemon():
        behind.deliver()
        found = by_subject(behind.node, 23)
    check_batch(found, 20)
    assert behind.left() == []


def packed_batch(command: str, count: int, name: str = "mail") -> bytes:
    """So many mails to user and postmaster."""
    messages = [
        (
            BatchMessage(
                "" if number == 0 else f"a{number}@far.example",
                (BatchRecipient("user"), BatchRecipient("postmaster")),
            ),
            [mail(f"{name}{number}", body=number * BODY).replace(b"\n", b"\r\n")],
        )
        for number in range(count)
    ]
    return b"".join(pack(command, batch("alpha", messages)))


def check_batch(found: dict[str, bytes], count: int) -> None:
    for number in range(count):
        one = found[f"mail{number}"]
        assert sender(one) == ("" if number == 0 else f"a{number}@far.example")
        assert body_of(one) == number * BODY


# --- Taylor's uux, to our answerer


@pytest.fixture
def site(home: Path) -> Site:
    made = Site(home, listens=True, keys='called_login = "Ubeta"\ncalled_password_file = "pw"\n')
    listed = f'commands = ["{made.commands.folder}/rmail"]'
    made.alpha.replace(listed, 'commands = ["rmail", "rgsmtp"]')
    made.beta.speak("i", LOGIN, made.port)
    return made


def called(site: Site) -> None:
    """Beta calls, and all that it asked for is done."""
    assert site.beta.begin_call().wait(60) == 0, site.beta.log()
    site.alpha.wait_for_idle()
    assert not site.beta.has_jobs


def test_mail_by_taylors_uux_is_in_the_maildir_as_it_was_sent(site: Site) -> None:
    for name, (lines, _) in QUIRKS.items():
        text = mail(name, *(line.replace("alpha", "beta") for line in lines))
        site.beta.queue_mail(text, "user", "postmaster")
    with site.alpha.daemon():
        called(site)
        found = by_subject(site.alpha, len(QUIRKS))
        by_subject(site.alpha, len(QUIRKS), "postmaster")
    for name, (_, path) in QUIRKS.items():
        expected = path.replace("alpha!beta!", "alpha!").replace("alpha", "beta")
        if name != "forwarded":
            assert sender(found[name]) == expected, name
        assert body_of(found[name]) == BODY
    trace = rb"\nReceived: from beta\n\tby bsd\.home \(.*\) with UUCP id "
    assert all(re.search(trace, one) for one in found.values())
    assert site.commands.begun() == 0


def test_a_batch_by_taylors_uux_is_in_the_maildir_and_bad_ones_keep_nothing_back(
    site: Site,
) -> None:
    whole = packed_batch("rgsmtp", 20)
    for data in (whole, whole[:-4] + b"\0\0\0\0", b"no batch", packed_batch("rsmtp", 2)[:-20]):
        site.beta._do("uux", "-", "-r", "alpha!rgsmtp", data=data)
    site.beta.queue_mail(mail("headless"), "user")
    site.beta.queue_mail(mail("mail20", f"From x {DATE}"), "user", "nobody-here")
    with site.alpha.daemon():
        called(site)
        assert wait_until(lambda: len(site.alpha.mails("user")) >= 22, 30)
    found = site.alpha.mails("user")
    assert len(found) == 22
    states = [(one.new.command[0], one.state.value) for one in site.alpha.executions()]
    assert sorted(states) == [
        *[("rgsmtp", "done")],
        *[("rgsmtp", "failed")] * 3,
        *[("rmail", "done"), ("rmail", "failed")],
    ]


def test_a_call_without_a_daemon_leaves_the_mail_in_the_maildir(site: Site) -> None:
    """We answer on a pipe, and what came is delivered behind our back."""
    site.alpha.give_away()
    site.beta.queue_mail(mail("one", f"From x@far.example {DATE}"), "user")
    login = 'called_login = "Ubeta"\ncalled_password_file = "pw"'
    site.alpha.replace(login, f'called_login = "{TAYLORS_USER}"')
    site.beta.speak("i", way=f"port type pipe\nport command {site.alpha.program('answer')}")
    called(site)
    assert body_of(by_subject(site.alpha, 1)["one"]) == BODY
