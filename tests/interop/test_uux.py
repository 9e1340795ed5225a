"""Mail for UUCP neighbours, by our node and the real uux, and on to the neighbour's rmail."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nodes import TestNode
from peers.folders import leave_home, make_home
from peers.processes import wait_until
from peers.taylor import USER, Taylor

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAF = Path(__file__).parents[2] / "conf" / "uucp-leaf"

TABLE = """\
dom.example    uucp-dom:beta
old.example    uucp-old:beta
gone.example   uucp-dom:unknown
"""
LETTER = (
    b"From: User <user>\nTo: a@dom.example, c@old.example\nSubject: tea\n"
    b"\nAt five.\nFrom the pot.\n.\nLast line.\n"
)
BODY = b"\n\nAt five.\nFrom the pot.\n.\nLast line.\n"
DATE = rb"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    home = make_home("uucp")
    yield home
    leave_home(home, tmp_path / "uucp", ())


@pytest.fixture
def alpha(folder: Path) -> Taylor:
    neighbours = ("beta", "horus", "if-bus", "your.uucp.relay")
    return Taylor(folder / "alpha", "alpha", neighbours)


@pytest.fixture
def node(tmp_path: Path, alpha: Taylor) -> TestNode:
    sections = (
        f'default_user = "{USER}"\n'
        f'[routing]\nuux = "{alpha.uux}"\nuucp_mailer = true\nuucp_max_size_bytes = 2000\n'
    )
    return TestNode(tmp_path / "home", sections, tables={"mailertable": TABLE})


def send(node: TestNode, *recipients: str, letter: bytes = LETTER) -> int:
    """The exit code of a sendmail that waits for what can be done at once."""
    return node.sendmail("-i", "-odi", "-fuser", *recipients, stdin=letter).returncode


def waiting(node: TestNode) -> dict[str, str]:
    """By address: the last status of what waits in our own queue."""
    messages = json.loads(node.run("queue", "--json").stdout)
    return {
        one["address"]: one["status"] or ""
        for message in messages
        for one in message["recipients"]
        if one["state"] == "waiting"
    }


def returned(node: TestNode) -> bytes:
    """The DSN that the sender got."""
    assert wait_until(lambda: node.mails("user"), 20)
    (dsn,) = node.mails("user")
    return dsn


def test_mail_by_domain_is_one_job_with_domain_addresses(node: TestNode, alpha: Taylor) -> None:
    assert send(node, "a@dom.example", "o'b@dom.example") == 0
    (job,) = alpha.jobs("beta")
    assert job.recipients == ("a@dom.example", "o'b@dom.example")
    assert (job.results_to, job.grade) == ("user@bsd.home", "C")
    assert re.match(rb"From user@bsd\.home " + DATE + rb"\nReceived: ", job.data)
    assert b"\nFrom: User <user@bsd.home>\nTo: a@dom.example, c@old.example\n" in job.data
    assert job.data.endswith(BODY)
    assert waiting(node) == {}


def test_mail_by_bang_path_is_a_job_for_each_recipient(node: TestNode, alpha: Taylor) -> None:
    assert send(node, "c@old.example", "d@old.example", "beta!far!e") == 0
    jobs = alpha.jobs("beta")
    assert [job.recipients for job in jobs] == [
        ("beta!far!e",),
        ("old.example!c",),
        ("old.example!d",),
    ]
    for job in jobs:
        assert job.results_to == "bsd.home!user"
        line = rb"From user  " + DATE + rb" remote from bsd\.home\nReceived: "
        assert re.match(line, job.data)
        assert b"\nFrom: User <bsd.home!user>\n" in job.data
        assert b"\nTo: bsd.home!dom.example!a, bsd.home!old.example!c\n" in job.data
        assert job.data.endswith(BODY)


def test_the_neighbour_s_rmail_gets_what_was_sent(
    node: TestNode, alpha: Taylor, folder: Path
) -> None:
    send(node, "a@dom.example", "b@dom.example")
    (job,) = alpha.jobs("beta")
    beta = Taylor(folder / "beta", "beta", ["alpha"])
    alpha.call(beta)
    assert alpha.neighbours_with_jobs == set()
    (execution,) = beta.arrived("alpha")
    assert "C rmail a@dom.example b@dom.example" in execution.lines
    assert "R user@bsd.home" in execution.lines
    names = [line[2:] for line in execution.lines if line[:2] in ("F ", "I ")]
    assert len(names) == 2 and names[0] == names[1]
    assert execution.data == job.data
    assert beta.execute() == [(["a@dom.example", "b@dom.example"], job.data)]


def test_hostile_addresses_come_back_and_the_rest_goes(node: TestNode, alpha: Taylor) -> None:
    hostile = ["-x@dom.example", '"a b"@dom.example', '"x) (y"@dom.example', "a$b@dom.example"]
    assert send(node, "--", "a@dom.example", *hostile) != 0
    assert [job.recipients for job in alpha.jobs("beta")] == [("a@dom.example",)]
    dsn = returned(node)
    assert dsn.count(b"\nStatus: 5.1.3\n") == len(hostile)
    assert b"This address cannot go by UUCP" in dsn


@pytest.mark.parametrize("path", ["-x!touch", "a&b!c", "$HOME!c"])
def test_a_path_to_an_option_or_a_command_leads_to_no_neighbour(
    node: TestNode, alpha: Taylor, path: str
) -> None:
    assert send(node, "--", path) == os.EX_NOHOST
    assert alpha.neighbours_with_jobs == set()
    assert b"553 5.1.2 " in returned(node)
    assert "touch" not in alpha.log()


@pytest.mark.parametrize(("size", "goes"), [(2000, True), (2001, False)])
def test_too_large_mail_comes_back_with_the_reason(
    node: TestNode, alpha: Taylor, size: int, goes: bool
) -> None:
    head = b"Subject: large\n\n"
    letter = head + b"x" * (size - len(head) - 1) + b"\n"
    code = send(node, "a@dom.example", letter=letter)
    if goes:
        assert code == os.EX_OK
        assert len(alpha.jobs("beta")) == 1
        return
    assert code == os.EX_UNAVAILABLE
    assert alpha.neighbours_with_jobs == set()
    dsn = returned(node)
    assert b"552 5.3.4 Message is too large; 2000 bytes max\n" in dsn
    assert b"\nFinal-Recipient: RFC822; a@dom.example\n" in dsn
    assert b"\nStatus: 5.3.4\n" in dsn


def test_a_neighbour_that_uux_does_not_know_is_told_to_the_sender(
    node: TestNode, alpha: Taylor
) -> None:
    """As sendmail has it: uux ends with 69."""
    assert send(node, "a@gone.example") == os.EX_UNAVAILABLE
    dsn = returned(node)
    assert b"/uux: unknown: System not found\n554 5.0.0 a@gone.example... Service" in dsn


def test_a_spool_that_cannot_be_written_keeps_the_mail_here(node: TestNode, alpha: Taylor) -> None:
    (alpha.folder / "spool").chmod(0o555)
    send(node, "a@dom.example")
    assert "Operating system error" in waiting(node)["a@dom.example"]
    (alpha.folder / "spool").chmod(0o777)
    assert node.run("flush").returncode == 0
    assert waiting(node) == {}
    assert len(alpha.jobs("beta")) == 1


# ---- the leaf of the handbook


def leaf(folder: Path, alpha: Taylor) -> TestNode:
    """conf/uucp-leaf as it is, with a spool and a mailbox of the test, and an Ethernet that is
    down."""
    node = TestNode(folder)
    shutil.copy(LEAF / "mailertable", folder)
    text = (LEAF / "relaynode.toml").read_text(encoding="utf-8")
    for section, keys in (
        ("node", 'hostname = "youruucpnodename.example"\nspool = "spool"'),
        ("routing", f'uux = "{alpha.uux}"'),
        (
            "local",
            f'mailbox = "{folder}/mail/{{user}}/"\nusers = ["user"]\ndefault_user = "{USER}"',
        ),
    ):
        assert f"[{section}]\n" in text
        text = text.replace(f"[{section}]\n", f"[{section}]\n{keys}\n")
    node.path.write_text(f'{text}\n[link.ethernet]\nkind = "event"\n')
    return node


def test_the_uucp_leaf_gives_each_line_of_its_table_to_its_neighbour(
    tmp_path: Path, alpha: Taylor
) -> None:
    node = leaf(tmp_path / "leaf", alpha)
    to = (
        *("a@horus.interface-business.de", "horus!b"),
        *("c@pc.interface-business.de", "d@interface-business.de", "if-bus!e"),
        "f@uriah.heep.sax.de",
        *("other!g", "h@example.com"),
        "youruucpnodename!user",
    )
    assert send(node, *to) == 0
    found = {name: alpha.jobs(name) for name in alpha.neighbours_with_jobs}
    assert {name: [job.recipients for job in jobs] for name, jobs in found.items()} == {
        "horus": [("a@horus.interface-business.de", "horus!b")],
        "if-bus": [("c@pc.interface-business.de", "d@interface-business.de", "if-bus!e")],
        "your.uucp.relay": [("other!g@your.uucp.relay", "h@example.com")],
    }
    for jobs in found.values():
        assert jobs[0].data.startswith(b"From user@youruucpnodename.example ")
        assert jobs[0].data.endswith(BODY)
    assert list(waiting(node)) == ["f@uriah.heep.sax.de"]
    assert len(node.mails("user")) == 1


@pytest.mark.parametrize(("size", "goes"), [(200_000, True), (200_001, False)])
def test_the_uucp_leaf_returns_what_is_larger_than_its_limit(
    tmp_path: Path, alpha: Taylor, size: int, goes: bool
) -> None:
    node = leaf(tmp_path / "leaf", alpha)
    letter = b"Subject: s\n\n"
    letter += b"x" * (size - len(letter) - 1) + b"\n"
    assert send(node, "h@example.com", letter=letter) == (0 if goes else os.EX_UNAVAILABLE)
    assert bool(alpha.jobs("your.uucp.relay")) == goes
    if not goes:
        assert b"552 5.3.4 Message is too large; 200000 bytes max\n" in returned(node)
