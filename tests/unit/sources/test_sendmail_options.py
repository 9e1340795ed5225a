"""The command line of sendmail(8), as scripts write it. Messages and codes are sendmail's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import EX_SOFTWARE, EX_USAGE, UsageError
from relaynode.mail.xtext import xtext_encode
from relaynode.sources.sendmail_options import SendmailOptions, parse_options
from relaynode.sources.sendmail_settings import NAMES, long_setting


def parsed(line: str, program: str = "sendmail") -> SendmailOptions:
    """What a line of words parted by blanks asks for; '' is an empty word."""
    return parse_options(["" if word == "''" else word for word in line.split()], program)


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
        ("-oem", SendmailOptions(errors="m")),
        ("-em", SendmailOptions(errors="m")),
        ("-oex", SendmailOptions()),
        ("-odq -odb -oee -oem", SendmailOptions(errors="m")),
        ("-odi", SendmailOptions(delivery="i")),
        ("-odqueueonly", SendmailOptions(delivery="q")),
        ("-od", SendmailOptions()),
        ("-o i bob", SendmailOptions(recipients=["bob"], ignores_dots=True)),
        ("-oi -oem bob", SendmailOptions(recipients=["bob"], ignores_dots=True, errors="m")),
        ("-v bob", SendmailOptions(recipients=["bob"], is_verbose=True)),
        ("-vti", SendmailOptions(is_verbose=True, reads_recipients=True, ignores_dots=True)),
        ("-n bob", SendmailOptions(recipients=["bob"], uses_aliases=False)),
        ("-h 3 bob", SendmailOptions(recipients=["bob"], hops=3)),
        ("-h '' bob", SendmailOptions(recipients=["bob"])),
        ("-pUUCP:horus bob", SendmailOptions(recipients=["bob"], protocol="UUCP", host="horus")),
        ("-oMrUUCP -oMshorus -Mxy", SendmailOptions(protocol="UUCP", host="horus")),
        ("-B 8bitmime", SendmailOptions(body="8BITMIME")),
        ("-ODeliveryMode=q", SendmailOptions(delivery="q")),
        ("-O ErrorMode=mail", SendmailOptions(errors="m")),
        ("-OIgnoreDots=False -OVerbose", SendmailOptions(is_verbose=True)),
        ("-OTimeout.queuereturn=1d -oFoo -oZ", SendmailOptions()),
        ("-X /tmp/log -L tag -D /tmp/debug -Am -Ax", SendmailOptions()),
        ("-U -G -c -m -s -T -x -E -J", SendmailOptions()),
        ("-C /etc/mail/submit.cf", SendmailOptions(config_file="/etc/mail/submit.cf")),
        ("-d0.1 bob", SendmailOptions(recipients=["bob"], shows_identity=True)),
        ("-d8.7 -d10", SendmailOptions()),
    ],
)
def test_each_flag_means_what_sendmail_means_by_it(line: str, expected: SendmailOptions) -> None:
    assert parsed(line) == expected


@pytest.mark.parametrize(
    ("program", "line", "mode"),
    [
        *(("sendmail", f"-b{mode}", mode) for mode in "amsdDtvpPihH"),
        ("sendmail", "-b s", "s"),
        ("sendmail", "-bpx", "p"),
        ("sendmail", "-vbp", "p"),
        ("sendmail", "-bp -bv", "v"),
        ("sendmail", "-I", "i"),
        ("sendmail", "-q", "q"),
        ("sendmail", "-Qreason", "Q"),
        ("mailq", "-v", "p"),
        ("mailq", "-qRx", "p"),
        ("newaliases", "", "i"),
        ("hoststat", "", "h"),
        ("purgestat", "", "H"),
        ("smtpd", "", "d"),
        ("mailq", "-bv bob", "v"),
        ("send-mail", "bob", "m"),
    ],
)
def test_the_mode_is_the_last_one_named_or_what_the_name_means(
    program: str, line: str, mode: str
) -> None:
    assert parsed(line, program).mode == mode


@pytest.mark.parametrize(
    ("line", "recipients"),
    [
        ("bob -v carol", ["bob", "-v", "carol"]),
        ("-s bob -odq", ["bob", "-odq"]),
        ("- -odq", ["-", "-odq"]),
        ("-- -f -x bob", ["-f", "-x", "bob"]),
        ("--", []),
        ("--help", []),
        ("a,b c", ["a,b", "c"]),
    ],
)
def test_options_end_at_the_first_word_that_is_none(line: str, recipients: list[str]) -> None:
    assert parsed(line) == SendmailOptions(recipients=recipients)


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
        ("-f -- bob", "--"),
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


@pytest.mark.parametrize(
    ("line", "text"),
    [
        *((f"-{letter}", f"illegal option -- {letter}") for letter in "ZKPSWYHagjkluwyz?"),
        ("-tZ", "illegal option -- Z"),
        ("-T1d", "illegal option -- 1"),
        *((f"-{x}", f"option requires an argument -- {x}") for x in "ABCDFLMNORVXbefhopr"),
        ("-ti -f", "option requires an argument -- f"),
    ],
)
def test_what_getopt_says_begins_with_the_programs_name(line: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(line, "mailq")
    assert str(caught.value) == f"mailq: {text}"
    assert caught.value.exit_code == EX_USAGE


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-bX", "Invalid operation mode X"),
        ("-bb", "Invalid operation mode b"),
        ("-bq", "Invalid operation mode q"),
        ("-bz", "Frozen configurations unsupported"),
        ("-odx bob", "Unknown delivery mode x"),
        ("-ODeliveryMode=x bob", "Unknown delivery mode x"),
        ("-hx bob", "Bad hop count (x)"),
        ("-h 3x bob", "Bad hop count (3x)"),
        ("-N foo bob", "Invalid -N argument"),
        ("-N never,failure bob", "Invalid -N argument"),
        ("-N failure,never bob", "Invalid -N argument"),
        ("-N '' bob", "Invalid -N argument"),
        ("-R foo bob", "Invalid -R value"),
        ("-R '' bob", "Invalid -R value"),
        ("-V a=b bob", "Invalid syntax in -V flag"),
        ("-V a+3 bob", "Invalid syntax in -V flag"),
        ("-Bfoo bob", "Illegal body type foo"),
        ("-B binarymime bob", "Illegal body type binarymime"),
        ("-q1x", "Invalid time unit `x'"),
        ("-qX", "Invalid time unit `X'"),
        ("-qP", "Invalid time unit `P'"),
        ("-q1h30x", "Invalid time unit `x'"),
        ("-qm", "Invalid time unit `m'"),
        ("-q!x", "Invalid time unit `x'"),
        ("-OTimeout.queuereturn=1x bob", "Invalid time unit `x'"),
        ("-f a -f b bob", 'More than one "from" person'),
        ("-f a -r b bob", 'More than one "from" person'),
        ("-qRx -bv bob", "Can not use -q with -bv"),
        ("-q -bt", "Can not use -q with -bt"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_sendmails_words(line: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(line)
    assert str(caught.value) == text
    assert caught.value.exit_code == EX_USAGE


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("-OFoo", "readcf: unknown option name Foo"),
        ("-OFoo=1", "readcf: unknown option name Foo"),
        ("-O ''", "readcf: null option name"),
        ("-O =x", "readcf: null option name"),
        ("-OTimeout.foo=1d", "settimeout: invalid timeout foo"),
        (
            "-OQueue=x",
            "readcf: ambiguous option name Queue (matches QueueDirectory and QueueFactor)",
        ),
    ],
)
def test_an_option_nobody_knows_is_said_and_stops_nothing(line: str, remark: str) -> None:
    options = parsed(f"{line} bob")
    assert (options.remarks, options.exit_code) == ([remark], EX_SOFTWARE)
    assert options.recipients == ["bob"]


def test_an_option_name_may_be_cut_short_and_that_is_said() -> None:
    options = parsed("-O delivery=q bob")
    assert options.delivery == "q"
    assert options.remarks == ["Option delivery used as abbreviation for DeliveryMode"]
    assert options.exit_code == 0


@given(st.sampled_from(NAMES))
def test_every_long_option_is_known_in_any_case(name: str) -> None:
    assert long_setting(f"{name.upper()}=1") == (name, "1", "")


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
        ("SUCCESS,Failure,delay", "SUCCESS,FAILURE,DELAY"),
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
        ("-q5", SendmailOptions(mode="q", interval="5")),
        ("-qp5m", SendmailOptions(mode="q", interval="5m")),
        ("-q1h30m", SendmailOptions(mode="q", interval="1h30m")),
        ("-bd -q30m", SendmailOptions(mode="d", interval="30m")),
        ("-q30m -bd", SendmailOptions(mode="d", interval="30m")),
        ("-qRexample.com", SendmailOptions(mode="q", queue_only=[("R", "example.com")])),
        ("-qSalice", SendmailOptions(mode="q", queue_only=[("S", "alice")])),
        ("-qIabc", SendmailOptions(mode="q", queue_only=[("I", "abc")])),
        ("-q!Iabc", SendmailOptions(mode="q", queue_only=[("!I", "abc")])),
        (
            "-qRa -q!Rb -qSc",
            SendmailOptions(mode="q", queue_only=[("R", "a"), ("!R", "b"), ("S", "c")]),
        ),
        ("-qQ", SendmailOptions(mode="q", queue_kind="Q")),
        ("-qL", SendmailOptions(mode="q", queue_kind="L")),
        ("-qGmqueue", SendmailOptions(mode="q")),
        (
            "-qGxx",
            SendmailOptions(mode="q", has_queue=False, remarks=["Queue group xx unknown"]),
        ),
        ("-q bob", SendmailOptions(mode="q", recipients=["bob"])),
        ("-bp -qRx", SendmailOptions(mode="p", queue_only=[("R", "x")])),
        ("-qRx -bp", SendmailOptions(mode="p", queue_only=[("R", "x")])),
        ("-Q -qQ", SendmailOptions(mode="Q", quarantine="", queue_kind="Q")),
        ("-Qwhy -qRx", SendmailOptions(mode="Q", quarantine="why", queue_only=[("R", "x")])),
    ],
)
def test_a_queue_run_takes_its_value_without_a_blank(line: str, expected: SendmailOptions) -> None:
    assert parsed(line) == expected


def test_the_given_list_is_left_as_it_was() -> None:
    words = ["-f", "a", "--", "b"]
    parse_options(words)
    assert words == ["-f", "a", "--", "b"]


@given(st.lists(st.text(max_size=8).map(lambda text: f"-{text}") | st.text(max_size=8), max_size=5))
def test_no_command_line_raises_anything_but_a_usage_error(words: list[str]) -> None:
    try:
        parse_options(words)
    except UsageError as error:
        assert str(error)
