"""The header of submitted mail, against what real sendmail made of the same input."""

import os
import pwd
import re
import shlex
from pathlib import Path

import pytest

from nodes import TestNode

HOST = "gate.example.org"
USERS = ("alice", "bob", "carol", "dave")
CASES = Path(__file__).with_name("header_fixing.txt")


def cases():
    """(words, standard input, what lies in whose mailbox) of each, by title."""
    found = []
    for block in re.split(r"^== ", CASES.read_text(), flags=re.MULTILINE)[1:]:
        title, _, rest = block.partition("\n")
        command, _, rest = rest.partition("\n")
        given, *boxes = re.split(r"^-- (\w+)\n", rest, flags=re.MULTILINE)
        words = shlex.split(command.removeprefix("$ sendmail "))
        mailboxes = dict(zip(boxes[::2], boxes[1::2], strict=True))
        found.append(pytest.param(words, given, mailboxes, id=title))
    return found


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    user = pwd.getpwuid(os.getuid()).pw_name
    node = TestNode(
        tmp_path_factory.mktemp("node"),
        users=(*USERS, "postmaster"),
        tables={"trusted-users": f"# may be anybody\n{user}\n"},
    )
    node.path.write_text(node.path.read_text().replace("bsd.home", HOST))
    with node.daemon():
        yield node


@pytest.mark.parametrize(("words", "given", "mailboxes"), cases())
def test_the_header_is_the_one_that_sendmail_makes(node, words, given, mailboxes):
    before = {user: node.mails(user) for user in USERS}
    ended = node.sendmail(*words, stdin=given.encode())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    for user in USERS:
        new = [mail for mail in node.mails(user) if mail not in before[user]]
        expected = [mailboxes[user]] if user in mailboxes else []
        assert [general(mail) for mail in new] == expected


def general(mail):
    """A mail with what differs each time replaced."""
    entry = pwd.getpwuid(os.getuid())
    full_name = entry.pw_gecos.partition(",")[0]
    myself = f"{full_name} <{entry.pw_name}>" if full_name else entry.pw_name
    text = mail.decode()
    text = text.replace(f"From: {myself}\n", "From: MYSELF\n")
    text = text.replace(f"{entry.pw_name}@", "USER@")
    text = re.sub(r"\(relaynode [0-9.]+\)", "(VERSION)", text)
    text = re.sub(r"\bid \w{14}\b", "id ID", text)
    text = re.sub(r"<\d{12}\.\w{14}@", "<MINUTE.ID@", text)
    return re.sub(r"\w{3}, \d+ \w{3} 20[2-9]\d [0-9:]{8} [+-]\d{4}", "NOW", text)
