"""The command line of sendmail(8), as scripts write it."""

from __future__ import annotations

import pytest

from relaynode.errors import EX_USAGE, UsageError
from relaynode.mail.xtext import xtext_encode
from relaynode.sources.sendmail_options import SendmailOptions, parse_options


def parsed(line: str) -> SendmailOptions:
    """What a line of words parted by blanks asks for; '' is an empty word."""
    return parse_options(["" if word == "''" else word for word in line.split()])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", SendmailOptions()),
        ("bob", SendmailOptions(recipients=["bob"])),
        ("-bm bob", SendmailOptions(recipients=["bob"])),
        ("-t", SendmailOptions(reads_recipients=True)),
        ("-ti", SendmailOptions(reads_recipients=True, ignores_dots=True)),
        ("-it", SendmailOptions(reads_recipients=True, ignores_dots=True)),
        ("-i -t", SendmailOptions(reads_recipients=True, ignores_dots=True)),
        ("-oi -t", SendmailOptions(reads_recipients=True, ignores_dots=True)),
        ("-toi", SendmailOptions(reads_recipients=True, ignores_dots=True)),
        ("-oem", SendmailOptions()),
        ("-odq -odb -oee -oem", SendmailOptions()),
        ("-o i bob", SendmailOptions(recipients=["bob"], ignores_dots=True)),
        ("-oi -oem bob", SendmailOptions(recipients=["bob"], ignores_dots=True)),
        ("-v bob", SendmailOptions(recipients=["bob"], is_verbose=True)),
        ("-vti", SendmailOptions(is_verbose=True, reads_recipients=True, ignores_dots=True)),
        ("-bs", SendmailOptions(mode="s")),
        ("-b s", SendmailOptions(mode="s")),
        ("-bp", SendmailOptions(mode="p")),
        ("-vbp", SendmailOptions(mode="p", is_verbose=True)),
        ("bob -v carol", SendmailOptions(recipients=["bob", "carol"], is_verbose=True)),
    ],
)
def test_flags_may_be_joined_and_stand_anywhere(line: str, expected: SendmailOptions) -> None:
    assert parsed(line) == expected


def test_what_was_not_asked_for_is_off() -> None:
    options = parsed("bob")
    assert (options.mode, options.sender) == ("m", None)
    assert not (options.reads_recipients or options.ignores_dots or options.is_verbose)
    assert not (options.full_name or options.notify or options.ret or options.envid)
    assert not (options.queue_only or options.interval)


@pytest.mark.parametrize(
    ("line", "sender"),
    [
        ("bob", None),
        ("-falice bob", "alice"),
        ("-f alice bob", "alice"),
        ("-ralice@example.org bob", "alice@example.org"),
        ("-r alice bob", "alice"),
        ("-tfalice", "alice"),
        ("-f <> bob", ""),
        ("-f<> bob", ""),
        ("-f '' bob", ""),
        ("-f -x bob", "-x"),
        ("-f one -f two bob", "two"),
    ],
)
def test_the_sender_comes_with_or_without_a_blank(line: str, sender: str | None) -> None:
    assert parsed(line).sender == sender


def test_values_are_taken_whole() -> None:
    options = parse_options(["-F", "Alice A. Smith", "-fa@b", "-Rhdrs", "-Vabc", "-N", "never"])
    assert options.full_name == "Alice A. Smith"
    assert (options.sender, options.ret, options.envid, options.notify) == (
        "a@b",
        "HDRS",
        "abc",
        "NEVER",
    )
    assert options.recipients == []


@pytest.mark.parametrize(
    "line",
    [
        "-G -U -I -c -m -n -s -T -x",
        "-Am -C /etc/mail/sendmail.cf -D /tmp/x -h 3 -L tag -M x -O Timeout=1 -p smtp:host",
        "-X /tmp/log -Q why -e m",
        "-d -d0.1 -d0-99.5",
        "-B7BIT -B 8bitmime",
    ],
)
def test_what_only_tunes_a_real_sendmail_has_no_effect(line: str) -> None:
    assert parsed(line + " bob") == SendmailOptions(recipients=["bob"])


@pytest.mark.parametrize("letter", "ABCDFLMNOQRVXbefhopr")
def test_an_option_that_lacks_its_value_is_refused(letter: str) -> None:
    with pytest.raises(UsageError, match=f"sendmail: option requires an argument -- {letter}"):
        parse_options([f"-{letter}"])
    with pytest.raises(UsageError):
        parse_options([f"-t{letter}"])


@pytest.mark.parametrize("line", ["-Z", "-tZ", "-1", "--help", "-é", "-t-"])
def test_an_unknown_flag_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="sendmail: illegal option -- ") as caught:
        parsed(line)
    assert caught.value.exit_code == EX_USAGE


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-bX", "Invalid operation mode X"),
        ("-bq", "Invalid operation mode q"),
        ("-N foo bob", "Invalid -N argument"),
        ("-N never,failure bob", "Invalid -N argument"),
        ("-N failure,never bob", "Invalid -N argument"),
        ("-N '' bob", "Invalid -N argument"),
        ("-R foo bob", "Invalid -R value"),
        ("-V a=b bob", "Invalid syntax in -V flag"),
        ("-V a+3 bob", "Invalid syntax in -V flag"),
        ("-Bfoo bob", "Illegal body type foo"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_sendmails_words(line: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        parsed(line)
    assert caught.value.exit_code == EX_USAGE


def test_the_envelope_id_is_xtext_on_the_command_line_and_plain_inside() -> None:
    options = parsed("-V a+3Db+20c bob")
    assert options.envid == "a=b c"
    assert xtext_encode(options.envid) == "a+3Db+20c"
    with pytest.raises(UsageError):
        parse_options(["-V", "a b", "bob"])


@pytest.mark.parametrize(
    ("value", "notify"),
    [
        ("never", "NEVER"),
        ("failure,delay", "FAILURE,DELAY"),
        ("SUCCESS, Failure ,delay", "SUCCESS,FAILURE,DELAY"),
    ],
)
def test_notify_is_given_in_any_case(value: str, notify: str) -> None:
    assert parse_options(["-N", value]).notify == notify


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-q", SendmailOptions(mode="q")),
        ("-qf", SendmailOptions(mode="q")),
        ("-v -q", SendmailOptions(mode="q", is_verbose=True)),
        ("-vq", SendmailOptions(mode="q", is_verbose=True)),
        ("-q30m", SendmailOptions(mode="q", interval="30m")),
        ("-q1h30m", SendmailOptions(mode="q", interval="1h30m")),
        ("-qRexample.com", SendmailOptions(mode="q", queue_only=[("R", "example.com")])),
        ("-qSalice", SendmailOptions(mode="q", queue_only=[("S", "alice")])),
        ("-qIabc", SendmailOptions(mode="q", queue_only=[("I", "abc")])),
        (
            "-qRa -qRb -qSc",
            SendmailOptions(mode="q", queue_only=[("R", "a"), ("R", "b"), ("S", "c")]),
        ),
        ("-q bob", SendmailOptions(mode="q", recipients=["bob"])),
        ("-bp -qRx", SendmailOptions(mode="p", queue_only=[("R", "x")])),
        ("-qRx -bp", SendmailOptions(mode="p", queue_only=[("R", "x")])),
    ],
)
def test_a_queue_run_takes_its_value_without_a_blank(line: str, expected: SendmailOptions) -> None:
    assert parsed(line) == expected


def test_behind_two_dashes_all_words_are_recipients() -> None:
    assert parsed("-t -- -f -x bob") == SendmailOptions(
        recipients=["-f", "-x", "bob"], reads_recipients=True
    )
    assert parsed("--").recipients == []
    assert parsed("-f -- bob").sender == "--"


def test_a_lone_dash_is_a_recipient() -> None:
    assert parsed("- bob").recipients == ["-", "bob"]


@pytest.mark.parametrize(
    ("words", "recipients"),
    [
        (["a,b", "c"], ["a", "b", "c"]),
        (["a, b ,c"], ["a", "b", "c"]),
        (["a b\tc\n"], ["a", "b", "c"]),
        ([",,a,,"], ["a"]),
        ([" , "], []),
        ([""], []),
        (["--", "-a,b"], ["-a", "b"]),
        (['"a, b"@c,d'], ['"a, b"@c', "d"]),
        ([r'"a\", b"@c d'], [r'"a\", b"@c', "d"]),
        (['"a, b'], ['"a', "b"]),
    ],
)
def test_commas_and_blanks_part_recipients_but_not_inside_quotes(
    words: list[str], recipients: list[str]
) -> None:
    assert parse_options(words).recipients == recipients


def test_the_given_list_is_left_as_it_was() -> None:
    words = ["-f", "a", "--", "b"]
    parse_options(words)
    assert words == ["-f", "a", "--", "b"]
