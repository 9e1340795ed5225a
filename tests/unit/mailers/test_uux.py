"""The UUCP mailers: what uux is told, what it is given, and what its end means.

The commands and inputs are those that real sendmail made of the same mail.
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from relaynode.config.values import Mailbox
from relaynode.mail.envelope import Envelope, Recipient
from relaynode.mailers import uux
from relaynode.mailers.mailer import Consignment
from relaynode.mailers.users import Users
from relaynode.mailers.uucp_form import MAX_COMMAND_BYTES, MAX_RECIPIENTS
from relaynode.mailers.uux import UuxMailer
from relaynode.policy.masquerade import Masquerade
from relaynode.policy.names import Names
from relaynode.queue.content import Content
from relaynode.queue.model import Delivery, MessageState, QueuedMessage, QueuedRecipient

NOW = 1_800_000_000.0
DATE = time.ctime(NOW)
HOME = Masquerade(names=Names(hostname="gate.example.org"))
CONTENT = (
    b"From: joe\r\nTo: a@old.example, foo@example.com, nbr!x\r\n"
    b'Cc: "X Y" <q@dom.example>\r\n\r\nbody\r\nFrom me\r\n.\r\n'
)
DOUBLE = """#!/bin/sh
n=1; while ! mkdir {folder}/$n 2>/dev/null; do n=$((n + 1)); done
for word in "$@"; do printf '%s\\0' "$word"; done >{folder}/$n/argv
cat >{folder}/$n/stdin
{script}
"""


class Uux:
    """A uux that writes down what it is told, and then does as `script` says."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "uux"
        self.says("exit 0")

    def says(self, script):
        self.path.write_text(DOUBLE.format(folder=self.folder, script=script))
        self.path.chmod(0o755)

    @property
    def jobs(self):
        """(arguments, input) of every call."""
        folders = sorted(self.folder.glob("[0-9]*"), key=lambda one: int(one.name))
        return [
            (
                (one / "argv").read_bytes().decode().split("\0")[:-1],
                (one / "stdin").read_bytes().decode(),
            )
            for one in folders
        ]

    @property
    def recipients(self):
        """The recipients of every job."""
        return [words[5:] for words, _ in self.jobs]


@pytest.fixture
def double():
    """In a folder that it may write to, whoever it runs as."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o777)
    yield Uux(path)
    shutil.rmtree(path)


def send(
    path,
    mailer,
    *addresses,
    neighbour="nbr",
    sender="joe",
    content=CONTENT,
    max_size_bytes=100_000,
    masquerade=HOME,
    timeout_seconds=60,
):
    """The attempts for a message; the addresses are as the route has them."""
    path = str(path.path) if isinstance(path, Uux) else path
    recipients = tuple(Recipient(address) for address in addresses)
    queued = tuple(QueuedRecipient(number, one) for number, one in enumerate(recipients, 1))
    body = content if isinstance(content, Content) else Content.of(content)
    message = QueuedMessage(
        "A1",
        MessageState.QUEUED,
        NOW,
        "test",
        Envelope(sender, recipients),
        body.size_bytes,
        queued,
        lines=0 if isinstance(content, Content) else content.count(b"\r\n"),
    )
    delivery = Delivery(message, queued, b"Received: r\r\n", body)
    attempts = []

    async def consignments():
        yield Consignment(delivery, addresses)

    async def report(some):
        attempts.extend(some)

    one = UuxMailer(
        neighbour,
        mailer=mailer,
        users=Users(Mailbox.parse("/var/mail/{user}"), frozenset()),
        masquerade=masquerade,
        max_size_bytes=max_size_bytes,
        timeout_seconds=timeout_seconds,
        uux=path,
    )
    asyncio.run(one.deliver(consignments(), report))
    return sorted(attempts, key=lambda attempt: attempt.recipient.id)


def statuses(attempts):
    return [str(attempt.status) for attempt in attempts]


# ---- what it is told and given


@pytest.mark.parametrize("mailer", ["uucp", "uucp-old"])
def test_the_old_mailers_make_a_job_for_each_recipient(double, mailer):
    attempts = send(double, mailer, "old.example!a", "old.example!b")
    assert statuses(attempts) == ["250 2.0.0 queued for UUCP"] * 2
    options = ["-", "-r", "-agate.example.org!joe", "-gC", "nbr!rmail"]
    assert [words for words, _ in double.jobs] == [
        [*options, "(old.example!a)"],
        [*options, "(old.example!b)"],
    ]


@pytest.mark.parametrize("mailer", ["suucp", "uucp-new"])
def test_the_new_mailers_take_several_recipients(double, mailer):
    send(double, mailer, "new.example!a", "new.example!b")
    ((words, _),) = double.jobs
    assert words == [
        *("-", "-r", "-agate.example.org!joe", "-gC", "nbr!rmail"),
        *("(new.example!a)", "(new.example!b)"),
    ]


@pytest.mark.parametrize("mailer", ["uucp", "uucp-old", "suucp", "uucp-new"])
def test_bang_path_mailers_say_whom_the_mail_is_remote_from(double, mailer):
    send(double, mailer, "old.example!a")
    ((_, text),) = double.jobs
    assert text == (
        f"From joe  {DATE} remote from gate.example.org\n"
        "Received: r\n"
        "From: gate.example.org!joe\n"
        "To: gate.example.org!old.example!a, gate.example.org!example.com!foo, nbr!x\n"
        'Cc: "X Y" <gate.example.org!dom.example!q>\n'
        "\nbody\nFrom me\n.\n"
    )


@pytest.mark.parametrize(
    ("mailer", "sender"),
    [("uucp-dom", "joe@gate.example.org"), ("uucp-uudom", "gate.example.org!joe")],
)
def test_domain_mailers_write_domains_and_a_plain_from_line(double, mailer, sender):
    send(double, mailer, "a@dom.example", "b@dom.example")
    ((words, text),) = double.jobs
    assert words == [
        *("-", "-r", f"-a{sender}", "-gC", "nbr!rmail"),
        *("(a@dom.example)", "(b@dom.example)"),
    ]
    assert text == (
        f"From {sender} {DATE}\n"
        "Received: r\n"
        "From: joe@gate.example.org\n"
        "To: a@old.example, foo@example.com, nbr!x\n"
        'Cc: "X Y" <q@dom.example>\n'
        "\nbody\nFrom me\n.\n"
    )


@pytest.mark.parametrize(
    ("mailer", "option", "line"),
    [
        ("uucp-dom", "MAILER-DAEMON@gate.example.org", "MAILER-DAEMON {}"),
        ("uucp-uudom", "gate.example.org!MAILER-DAEMON", "MAILER-DAEMON {}"),
        (
            "uucp-old",
            "gate.example.org!MAILER-DAEMON",
            "MAILER-DAEMON  {} remote from gate.example.org",
        ),
    ],
)
def test_the_null_path_is_shown_as_its_daemon(double, mailer, option, line):
    send(double, mailer, "a@dom.example", sender="")
    ((words, text),) = double.jobs
    assert words[2] == f"-a{option}"
    assert text.startswith(f"From {line.format(DATE)}\n")


@pytest.mark.parametrize(
    ("sender", "line"),
    [
        ("joe@example.net", "example.net!joe  {} remote from gate.example.org"),
        ("-x@example.net", "example.net!-x  {} remote from gate.example.org"),
        ("far!b!c", "far!b!c  {} remote from gate.example.org"),
        ("nbr!x", "x  {} remote from nbr"),
        ("nbr!far!x", "x  {} remote from far"),
    ],
)
def test_the_first_host_of_a_sender_s_path_is_whom_it_is_remote_from(double, sender, line):
    send(double, "uucp-old", "a", sender=sender)
    assert double.jobs[0][1].startswith(f"From {line.format(DATE)}\n")


def test_the_sender_is_masqueraded_where_the_envelope_is(double):
    hidden = Masquerade(names=HOME.names, as_domain="example.net", envelope=True)
    send(double, "uucp-dom", "a@dom.example", masquerade=hidden)
    assert double.jobs[0][0][2] == "-ajoe@example.net"
    assert "\nFrom: joe@example.net\n" in double.jobs[0][1]


def test_a_sender_cannot_become_an_option(double):
    assert send(double, "uucp-dom", "a@b", sender="-x@example.net")[0].status.is_success
    assert double.jobs[0][0][2] == "-a-x@example.net"


def test_a_neighbour_s_name_keeps_its_letters(double):
    send(double, "uucp-dom", "a@b", neighbour="NbR.Example_1")
    assert double.jobs[0][0][4] == "NbR.Example_1!rmail"


# ---- what it is not told


@pytest.mark.parametrize(
    "address",
    [
        "-x@dom.example",
        "~root@dom.example",
        "#x@dom.example",
        '"a b"@dom.example',
        "a b@dom.example",
        "a\tb@dom.example",
        "a\nb@dom.example",
        "a\0b@dom.example",
        "a(b@dom.example",
        "a)b@dom.example",
        ") -I /etc/x (a@dom.example",
        '"a"@dom.example',
        "a\\b@dom.example",
        "a;b@dom.example",
        "a&b@dom.example",
        "a|b@dom.example",
        "a<b@dom.example",
        "a>b@dom.example",
        "a`b`@dom.example",
        "a$HOME@dom.example",
        "",
    ],
)
def test_an_address_that_is_not_one_plain_word_is_refused(double, address):
    good, bad = send(double, "uucp-dom", "ok@dom.example", address)
    assert good.status.is_success
    assert (bad.status.code, bad.status.enhanced) == (553, "5.1.3")
    assert double.recipients == [["(ok@dom.example)"]]


@pytest.mark.parametrize(
    "address",
    ["o'brien@dom.example", "a!b!c", "!x", "a*b?@[10.0.0.1]", "a~b#c=d+e%f^g{h}@x", "/G=a/@x"],
)
def test_an_address_that_is_odd_and_plain_goes(double, address):
    assert send(double, "uucp-dom", address)[0].status.is_success
    assert double.recipients == [[f"({address})"]]


def test_an_address_beyond_ascii_is_refused_as_such(double):
    (attempt,) = send(double, "uucp-dom", "käthe@dom.example")
    assert str(attempt.status) == "553 5.6.7 An address by UUCP must be plain ASCII"
    assert double.jobs == []


@pytest.mark.parametrize(
    ("sender", "enhanced"),
    [
        ('"a b"@example.net', "5.1.7"),
        ('"a\tb"@example.net', "5.1.7"),
        ('"a\nFrom x remote from y"@example.net', "5.1.7"),
        ("käthe@example.net", "5.6.7"),
    ],
)
def test_a_sender_that_would_break_the_from_line_is_refused(double, sender, enhanced):
    for mailer in ("uucp-dom", "uucp-old"):
        (attempt,) = send(double, mailer, "a@dom.example", sender=sender)
        assert (attempt.status.code, attempt.status.enhanced) == (553, enhanced)
    assert double.jobs == []


@pytest.mark.parametrize(
    "neighbour", ["", "-x", "a!b", "(a", "a b", "a;b", ">a<@b", "a\nb", "h1:h2", "[h]", "é"]
)
def test_what_cannot_be_a_neighbour_is_refused(double, neighbour):
    attempts = send(double, "uucp-dom", "a@b", "c@d", neighbour=neighbour)
    text = "553 5.1.2 This cannot be the name of a UUCP neighbour"
    assert statuses(attempts) == [text] * 2
    assert double.jobs == []


# ---- how much


def test_many_recipients_make_several_jobs(double):
    addresses = [f"user{number}@x" for number in range(MAX_RECIPIENTS + 1)]
    assert all(one.status.is_success for one in send(double, "uucp-dom", *addresses))
    assert double.recipients == [
        [f"({address})" for address in addresses[:MAX_RECIPIENTS]],
        [f"({addresses[MAX_RECIPIENTS]})"],
    ]


def test_long_recipients_make_several_jobs(double):
    addresses = [letter * (MAX_COMMAND_BYTES // 2 - 1) for letter in "abc"]
    long = "d" * (MAX_COMMAND_BYTES + 1)
    send(double, "uucp-new", *addresses, long, "e")
    expected = [addresses[:2], addresses[2:], [long], ["e"]]
    assert double.recipients == [[f"({one})" for one in job] for job in expected]


def test_a_job_that_fails_does_not_touch_the_others(double):
    double.says('case "$6" in *b*) exit 75 ;; esac')
    kinds = [one.status.code for one in send(double, "uucp-old", "a", "b", "c")]
    assert kinds == [250, 451, 250]


@pytest.mark.parametrize(("too_many", "goes"), [(-1, True), (0, True), (1, False)])
def test_the_size_is_the_message_s_as_it_came_with_unix_line_ends(double, too_many, goes):
    text = b"Subject: s\r\n\r\n" + b"y\r\n" * 20
    size = len(text.replace(b"\r\n", b"\n"))
    attempts = send(double, "uucp-dom", "a@b", "c@d", content=text, max_size_bytes=size - too_many)
    if goes:
        assert len(double.jobs[0][1]) > size  # our own lines do not count
    else:
        text = f"552 5.3.4 Message is too large; {size - 1} bytes max"
        assert statuses(attempts) == [text] * 2
        assert double.jobs == []


# ---- how it ends


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (69, "554 5.0.0 Service unavailable"),
        (68, "550 5.1.2 Host unknown"),
        (64, "500 5.0.0 Command line usage error"),
        (71, "451 4.0.0 Operating system error"),
        (1, "554 5.3.0 unknown mailer error 1"),
    ],
)
def test_exit_codes_mean_what_sysexits_says(double, code, status):
    double.says(f"exit {code}")
    attempts = send(double, "uucp-dom", "a@b", "c@d")
    assert statuses(attempts) == [status] * 2


def test_uux_may_ask_for_another_try(double):
    double.says("exit 75")
    (attempt,) = send(double, "uucp-dom", "a@b")
    text = f"uucp-dom mailer ({double.path}) exited with EX_TEMPFAIL"
    assert str(attempt.status) == f"451 4.0.0 {text}"


def test_what_uux_says_is_told(double):
    double.says("echo 'uux: nbr: System not found' >&2; exit 69")
    (attempt,) = send(double, "uucp-dom", "a@b")
    assert attempt.dialogue == ("uux: nbr: System not found",)
    assert attempt.relay == "uux"


def test_a_uux_that_hangs_is_ended_and_the_mail_waits(double):
    double.says("sleep 60")
    (attempt,) = send(double, "uucp-dom", "a@b", timeout_seconds=0.2)
    assert str(attempt.status) == "451 4.4.7 uucp-dom mailer took longer than 0.2 seconds"


def test_without_a_uux_the_mail_waits(double, monkeypatch):
    missing = double.folder / "missing"
    (attempt,) = send(str(missing), "uucp-dom", "a@b")
    assert str(attempt.status) == f"451 4.3.0 {missing}: No such file or directory"
    monkeypatch.setenv("PATH", str(double.folder / "nowhere"))
    monkeypatch.setattr(uux, "PATH", "")
    (attempt,) = send("", "uucp-dom", "a@b")
    assert str(attempt.status) == "451 4.3.5 uux is not installed on this system"


def test_a_uux_that_may_not_be_run_lets_the_mail_wait(double):
    double.path.chmod(0o644)
    (attempt,) = send(double, "uucp-dom", "a@b")
    assert str(attempt.status) == f"451 4.3.0 {double.path}: Permission denied"


def test_uux_is_found_on_path(double, monkeypatch):
    monkeypatch.setenv("PATH", str(double.folder))
    assert send("", "uucp-dom", "a@b")[0].status.is_success
    assert double.recipients == [["(a@b)"]]


def test_a_message_that_is_cut_short_makes_no_job(double):
    double.says(f"touch {double.folder}/whole")
    short = double.folder / "content"
    short.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 20_000)
    content = Content(40_000, path=short)
    (attempt,) = send(double, "uucp-dom", "a@b", content=content)
    assert attempt.status.is_temporary
    assert not (double.folder / "whole").exists()
