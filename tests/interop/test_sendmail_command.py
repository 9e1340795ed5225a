"""Odd and wrong command lines, run with the installed `sendmail`: what is printed where, how it
ends, and who gets mail. What real sendmail does with the same lines stands in the table."""

import os
import pwd
import re
import subprocess
from dataclasses import dataclass

import pytest

from nodes import TestNode
from peers.processes import wait_until

LETTER = b"Subject: test\nTo: x\n\nhello\n"
ALIASES = "postmaster: alice\nstaff: alice, nosuchuser, reject@out.example\nbob2: bob\n"
USERS = ("alice", "bob", "carol", "postmaster")
ME = pwd.getpwuid(os.getuid()).pw_name
UNKNOWN = "nosuchuser... User unknown\n"


@dataclass(frozen=True)
class Line:
    """A command line. `to`: who gets mail of it, ME for a DSN to the caller."""

    words: str
    code: int
    out: str = ""
    err: str = ""
    to: tuple[str, ...] = ()
    stdin: bytes = LETTER

    @property
    def argv(self):
        """'' is an empty word and _ a blank."""
        words = [word.replace("_", " ") for word in self.words.split()]
        return ["" if word == "''" else word for word in words]


LINES = [
    # what cannot be
    Line("-bX", 64, "Invalid operation mode X\n"),
    Line("-bz", 64, "Frozen configurations unsupported\n"),
    Line("-odx bob", 64, "Unknown delivery mode x\n"),
    Line("-Z", 64, err="sendmail: illegal option -- Z\n"),
    Line("-?", 64, err="sendmail: illegal option -- ?\n"),
    Line("-f", 64, err="sendmail: option requires an argument -- f\n"),
    Line("", 64, "Recipient names must be specified\n"),
    Line("--help", 64, "Recipient names must be specified\n"),
    Line("-bv", 64, "Recipient names must be specified\n"),
    Line("-q1x", 64, "Invalid time unit `x'\n"),
    Line("-qX", 64, "Invalid time unit `X'\n"),
    Line("-qG", 0, "Queue group  unknown\n"),
    Line("-N foo bob", 64, "Invalid -N argument\n"),
    Line("-R foo bob", 64, "Invalid -R value\n"),
    Line("-V a_b bob", 64, "Invalid syntax in -V flag\n"),
    Line("-Bfoo bob", 64, "Illegal body type foo\n"),
    Line("-h x bob", 64, "Bad hop count (x)\n"),
    Line("-f a -f b bob", 64, 'More than one "from" person\n'),
    Line(
        "-C/nonexistent -bv x", 72, "/nonexistent: line 0: cannot open: No such file or directory\n"
    ),
    Line("-qRx -bv bob", 64, "Can not use -q with -bv\n"),
    # what can be, though it looks odd
    Line("-odi bob", 0, to=("bob",)),
    Line("-odi bob,carol", 0, to=("bob", "carol")),
    Line("-odi bob_carol", 0, to=("bob", "carol")),
    Line("-r x@y.example -odi bob", 0, to=("bob",)),
    Line("-odi -f <> bob", 0, to=("bob",)),
    Line("-odi -f Al_<alice> bob", 0, to=("bob",)),
    Line("-OFoo=1 -odi bob", 70, "readcf: unknown option name Foo\n", to=("bob",)),
    Line(
        "-O delivery=i bob",
        0,
        "Option delivery used as abbreviation for DeliveryMode\n",
        to=("bob",),
    ),
    Line("-oFoo -odi bob", 0, to=("bob",)),
    Line("-C/etc/passwd -odi bob", 0, to=("bob",)),
    Line("-U -G -m -X/tmp/x -Ltag -Am -odi bob", 0, to=("bob",)),
    Line("-ba -odi bob", 0, to=("bob",)),
    Line("-t -odi alice", 0, to=("alice", "bob"), stdin=b"To: alice, bob\n\nx\n"),
    Line("-t -odi carol", 0, to=("carol", "bob"), stdin=b"To: bob\n\nx\n"),
    Line("-t -odi", 0, to=("alice", "bob"), stdin=b"To: alice bob\n\nx\n"),
    Line(
        "-t -odi",
        67,
        "alice bob... User unknown\n",
        to=("carol", ME),
        stdin=b"To: alice bob, carol\n\nx\n",
    ),
    Line("-t -odi", 0, to=("alice", "bob"), stdin=b"To: a: alice, Bob <bob>;\n\nx\n"),
    Line(
        "-t -odi",
        64,
        "a@b@c... Invalid route address\n",
        to=("bob", ME),
        stdin=b"To: a@b@c, bob\n\nx\n",
    ),
    Line("-odi bob2", 0, to=("bob",)),
    Line("-v -odi bob", 0, "bob... Sent\n", to=("bob",)),
    Line("-bp x", 0, "{spool} is empty\n\t\tTotal requests: 0\n"),
    Line("-bP", 0, "{spool}: entries=0\n\t\tTotal requests: 0\n"),
    Line("-bi", 0, "{aliases}: 3 aliases, longest 37 bytes, 64 bytes total\n"),
    Line("-I", 0, "{aliases}: 3 aliases, longest 37 bytes, 64 bytes total\n"),
    # verification
    Line("-bv bob", 0, "bob... deliverable: mailer local, user bob\n"),
    Line(
        "-bv bob nosuchuser",
        67,
        UNKNOWN + "bob... deliverable: mailer local, user bob\n",
    ),
    Line("-n -bv staff", 67, "staff... User unknown\n"),
    Line("-bv -t", 67, UNKNOWN, stdin=b"To: nosuchuser\n\nx\n"),
    Line(
        "-v -bv bob2",
        0,
        "bob2... aliased to bob\nbob... deliverable: mailer local, user bob\n",
    ),
    # recipients that cannot be
    Line("-odi nosuchuser", 67, UNKNOWN, to=(ME,)),
    Line("-odi nosuchuser bob", 67, UNKNOWN, to=(ME, "bob")),
    Line("-oep -odi nosuchuser", 67, UNKNOWN, to=(ME,)),
    Line("-oem -odi nosuchuser", 67, to=(ME,)),
    Line("-oew -odi nosuchuser", 67, to=(ME,)),
    Line("-oee -odi nosuchuser", 0, to=(ME,)),
    Line("-oeq -odi nosuchuser", 67),
    Line("-oeq -odi nosuchuser bob", 67, to=("bob",)),
    Line("-N never -odi nosuchuser", 67, UNKNOWN),
    Line("-n -odi staff", 67, "staff... User unknown\n", to=(ME,)),
    Line("-t -odi", 67, UNKNOWN, to=(ME,), stdin=b"To: nosuchuser\n\nx\n"),
    Line("-t", 0, "No recipient addresses found in header\n", stdin=b"Subject: x\n\nx\n"),
    Line("|cat", 64, "|cat... Cannot mail directly to programs\n"),
    Line("/tmp/x", 64, "/tmp/x... Cannot mail directly to files\n"),
    Line(":include:/tmp/x", 64, ":include:/tmp/x... Cannot mail directly to :include:s\n"),
    Line("bob -odq", 67, "-odq... User unknown\n", to=("bob", ME)),
    Line("x@refused.example", 68, "x@refused.example... Mail to this host is refused\n", to=(ME,)),
    Line(
        "-h 99 -odi bob",
        69,
        f"554 5.4.6 Too many hops 99 (25 max): from {ME}@bsd.home via localhost, to bob\n",
    ),
    Line("-h 25 -odi bob", 0, to=("bob",)),
    # what waits for the next queue run, behind all that would take it along
    Line("-odq bob", 0),
    Line("-odd nosuchuser", 67, UNKNOWN),
]


@pytest.fixture(scope="module", params=["daemon", "no daemon"])
def node(tmp_path_factory, request):
    node = TestNode(
        tmp_path_factory.mktemp("node"),
        users=tuple({*USERS, ME}),
        tables={
            "aliases": ALIASES,
            "mailertable": "refused.example\terror:nohost:Mail to this host is refused\n",
        },
    )
    node.launcher()
    daemon = node.daemon()
    if request.param == "daemon":
        daemon.start()
    yield node
    daemon.stop()


def sendmail(node, argv, stdin, name="sendmail"):
    command = [node.folder / "bin" / name, *argv]
    return subprocess.run(command, input=stdin, capture_output=True, env=node.environment)


def counts(node):
    return {user: len(node.mails(user)) for user in {*USERS, ME}}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.words or "nothing")
def test_a_command_line_ends_as_scripts_expect(node, line):
    before = counts(node)
    ended = sendmail(node, line.argv, line.stdin)
    out = line.out.format(spool=node.folder / "spool", aliases=node.folder / "tables" / "aliases")
    assert (ended.stdout.decode(), ended.stderr.decode()) == (out, line.err)
    assert ended.returncode == line.code
    expected = {user: count + line.to.count(user) for user, count in before.items()}
    if "-odi" in line.argv and ME not in line.to:
        assert counts(node) == expected, "it is there when the command ends"
    else:
        assert wait_until(lambda: counts(node) == expected, 10)


def test_identity_is_printed_for_scripts_that_look_for_the_version(node):
    ended = sendmail(node, ["-d0.1", "-bv", "bob"], b"")
    out = ended.stdout.decode()
    assert re.match(r"Version [0-9.]+ \(relaynode\)\n", out)
    assert "(canonical domain name) $j = bsd.home\n" in out
    assert "(short domain name) $w = bsd\n" in out
    assert out.endswith("bob... deliverable: mailer local, user bob\n")
    assert ended.returncode == 0
