"""What the recorded cases leave out of fetchmail's grammar; each was seen in fetchmail 6.4.37."""

import pytest

from relaynode.config.fetchmail_entries import Overrides, complete
from relaynode.config.fetchmail_options import (
    CommandLineError,
    UnknownOptionError,
    parse_command_line,
)
from relaynode.config.fetchmail_setup import Surroundings
from relaynode.config.fetchmailrc import FetchmailrcError, parse
from relaynode.config.fetchmailrc_lexer import unescaped
from relaynode.config.netrc_file import read_netrc

AROUND = Surroundings(
    "alice", "gate.example.org", "/home/alice", "/tmp", port_of={"imaps": 993}.get
)


def setup(text, **overrides):
    return complete(parse(text, "RC"), AROUND, Overrides(**overrides))


def users(text, **overrides):
    return [user for server in setup(text, **overrides).servers for user in server.users]


def complaint(text):
    with pytest.raises(FetchmailrcError) as raised:
        setup(text)
    assert raised.value.exit_code == 5
    return list(raised.value.lines)


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("nokeep", "nokeep"),
        ("with", "with"),
        ("'it \"s'", 'it "s'),
        ('"a b"', "a b"),
        ('"a"b', '"a"b'),
        (", : ; x", "x"),
        ("\n# x\n imap", "imap"),
        ("x\\ny", "x\ny"),
        ('"two\nlines"', "two\nlines"),
        ("-5x", "-5x"),
    ],
)
def test_behind_pass_stands_one_string_whatever_it_looks_like(written, password):
    assert users(f"poll a user u pass {written} ssl\n")[0].password == password
    assert users(f"poll a user u pass {written} ssl\n")[0].ssl


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        (r"\x41\X42g", "ABg"),
        (r"\065", "5"),
        (r"\65", "A"),
        (r"\^A\q\"", '^Aq"'),
        ("a\\\nb", "ab"),
        (r"a\0b", "a"),
        ("a\\", "a"),
    ],
)
def test_digits_of_an_escape_are_decimal_unless_a_zero_leads(escaped, plain):
    assert unescaped(escaped) == plain


def test_two_names_are_only_parted_by_here_or_the_next_option():
    (user,) = users("poll a user b c=d * here is e there keep")
    assert user.localnames == ["b", ("c", "d"), "*"]
    assert (user.remote, user.keep) == ("e", True)


def test_a_server_option_behind_user_options_is_one_mistake_of_perhaps_several():
    assert complaint("poll a user u aka x\npoll b keep via y bogus") == [
        "fetchmail:RC:2: server option after user options at poll",
        "fetchmail:RC:2: server option after user options at y",
        "fetchmail:RC:2: syntax error at bogus",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("poll a\n\n bogus", ["fetchmail:RC:3: syntax error at bogus"]),
        ("poll a user u nodns", ["fetchmail:RC:1: syntax error at dns"]),
        ("poll a user u limit 5x", ["fetchmail:RC:1: syntax error at 5x"]),
        ("poll a # x", ["fetchmail:RC:1: syntax error at #"]),
        ("poll a interface x", ["fetchmail: missing IP interface address"]),
        (
            "poll a user u lmtp smtphost h/25",
            ["a configuration invalid, LMTP can't use default SMTP port"],
        ),
        (
            "poll a protocol rpop port 1024 user u lmtp smtphost h/25",
            ["fetchmail: a configuration invalid, RPOP requires a privileged port"],
        ),
        (
            "poll a user u idle user v",
            ["fetchmail: Error: idle mode does not work for multiple folders or accounts!"],
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_token(text, lines):
    assert complaint(text) == lines


def test_defaults_give_way_to_an_entry_and_both_to_the_command_line():
    text = "defaults aka x timeout 9 user d keep limit 7 is *\npoll a timeout 0 user u limit 0 is b"
    (server,) = setup(text, user={"limit": 3}).servers
    assert (server.timeout, server.aka) == (9, [])
    assert (server.users[0].keep, server.users[0].limit) == (True, 3)
    assert server.users[0].localnames == ["b", "*"]
    assert users(text)[0].limit == 0


def test_named_entries_are_polled_and_a_new_name_is_a_server_too():
    found = setup("defaults proto imap\npoll a\nskip b aka c", hosts=("c", "d"))
    assert [server.pollname for server in found.polled] == ["b", "d"]
    assert found.polled[1].protocol == "imap"


def test_a_number_beyond_32_bits_wraps_as_in_fetchmail():
    assert users("poll a user u limit 99999999999")[0].limit == 1215752191
    assert users(f"poll a user u limit -{'9' * 5000}")[0].limit == 0


def test_the_command_line_knows_short_long_and_shortened_options():
    line = parse_command_line(["-aku", "w", "host", "--prot", "IMAP", "-l0x10", "-r", "A,B", "-vv"])
    assert line.overrides.user == {
        "fetchall": True,
        "keep": True,
        "remote": "w",
        "limit": 16,
        "mailboxes": ["A", "B"],
    }
    assert line.overrides.server == {"protocol": "imap"}
    assert (line.overrides.hosts, line.verbosity, line.has_options) == (("host",), 2, True)


def test_options_that_are_none_are_named():
    with pytest.raises(UnknownOptionError, match="invalid option -- 'x'"):
        parse_command_line(["-x"])
    with pytest.raises(UnknownOptionError, match="'--sm' is ambiguous"):
        parse_command_line(["--sm", "x"])
    with pytest.raises(CommandLineError, match="String '5k' is not a valid number"):
        parse_command_line(["--limit", "5k"])
    assert parse_command_line(["-q", "-s"]).only_quits
    assert not parse_command_line(["-q", "host"]).only_quits


def test_a_netrc_is_asked_by_machine_and_login():
    text = 'default login u password D\nmachine a login u account z password "P q" # note\n'
    text += "macdef m\nmachine b login u password no\n\nmachine a passwd Q user v"
    assert read_netrc(text) == {("a", "u"): "P q", ("a", "v"): "Q"}
