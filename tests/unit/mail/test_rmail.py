"""What stands on top of a message for rmail, and the sender that it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import AddressError
from relaynode.mail.bangpath import MAX_PATH_OCTETS, read_path, seen_at, seen_from
from relaynode.mail.rmail import MAX_OPENING_BYTES, BadOpening, from_line, read_opening

DATE = "Sat Nov 21 10:00:00 2026"
ALPHA = f"From alice {DATE} remote from alpha"
REST = b"Received: x\n>From the body of an mbox\n\nFrom here on\n"


def opened(*lines, neighbour="alpha", rest=REST, end="\n"):
    start = "".join(line + end for line in lines).encode("utf-8", "surrogateescape")
    opening = read_opening(start + rest, neighbour, is_whole=True)
    assert opening.size_bytes == len(start)
    return opening.reverse_path


# What sendmail's rmail makes of the same lines stands beside those where ours is another.
@pytest.mark.parametrize(
    ("lines", "sender"),
    [
        ([ALPHA], "alpha!alice"),
        ([ALPHA, f">From carl {DATE} remote from gamma"], "alpha!gamma!carl"),
        (
            [
                f"From beta!carl {DATE} remote from alpha",
                f">From beta!x {DATE} forwarded by foo",
            ],
            "alpha!beta!x",
        ),
        # sendmail: alpha!alice@example.org
        ([f"From alice@example.org {DATE} remote from alpha"], "alice@example.org"),
        ([f"From alice@example.org {DATE}"], "alice@example.org"),
        # sendmail: alice, who would be one of ours
        ([f"From alice {DATE}"], "alpha!alice"),
        ([f"From far.example!alice {DATE}"], "alpha!far.example!alice"),
        # sendmail: alpha!alpha!alice
        ([f"From alpha!alice {DATE} remote from alpha"], "alpha!alice"),
        ([f"From alpha!alice {DATE}"], "alpha!alice"),
        ([f"From alice {DATE} remote from ALPHA.uucp"], "alpha!alice"),
        ([f"From alice {DATE} remote from alpha.example"], "alpha!alpha.example!alice"),
        # sendmail: bank!alice, and so says everybody who writes it
        ([f"From alice {DATE} remote from bank"], "alpha!bank!alice"),
        ([f">{ALPHA}"], "alpha!alice"),
        ([f"From alice  {DATE} +0100 remote from  alpha "], "alpha!alice"),
        ([f"From alice\t{DATE}\tremote from alpha"], "alpha!alice"),
        (["From alice remote from alpha"], "alpha!alice"),
        (["From alice"], "alpha!alice"),
        ([f"From alice {DATE} remote from"], "alpha!alice"),
        ([f"From <alice@example.org> {DATE}"], "alice@example.org"),
        ([f'From "a b"@example.org {DATE}'], '"a b"@example.org'),
        ([f"From Mon {DATE} remote from alpha"], "alpha!Mon"),
        ([f"From m\u00fc@example.org {DATE}"], "m\u00fc@example.org"),
    ],
)
def test_the_sender_is_the_hosts_from_the_top_down_and_the_last_address(lines, sender):
    assert opened(*lines) == sender
    assert opened(*lines, end="\r\n") == sender


@pytest.mark.parametrize(
    "line",
    [
        # sendmail: alpha!<>, whose owner would be sent the answer to a DSN
        f"From <> {DATE} remote from alpha",
        f"From MAILER-DAEMON {DATE} remote from alpha",
        f"From mailer-daemon@example.org {DATE}",
        f"From beta!MAILER-DAEMON {DATE} remote from alpha",
        f"From alpha!<> {DATE}",
        f"From  {DATE} remote from alpha",
        f"From {DATE}",
        "From  remote from alpha",
    ],
)
def test_nobody_is_the_null_reverse_path(line):
    assert opened(line) == ""
    assert opened(ALPHA, f">{line}") == ""


def test_without_a_neighbour_the_lines_are_all_there_is():
    assert opened(ALPHA, neighbour="") == "alpha!alice"
    assert opened(f"From alice {DATE}", neighbour="") == "alice"


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\n",
        b"Subject: x\n\ny\n",
        b"From: a@b\n\n",
        b"from a\n",
        b"From \n",
        b"From \r\n>From\t",
    ],
)
def test_a_message_without_such_a_line_is_refused_as_by_sendmail(start):
    with pytest.raises(BadOpening, match=r"^missing or empty From line$") as caught:
        read_opening(start, "alpha", is_whole=True)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize(
    "line",
    [
        "From a\x01b",
        "From a@b@",
        "From a@b..c",
        "From -@",
        "From a;b",
        "From a!!b",
        "From \udcff@x",
        f"From a {DATE} remote from a;b",
        f"From a {DATE} remote from -x",
        "From " + "a!" * MAX_PATH_OCTETS + "b",
    ],
)
def test_a_sender_that_is_none_is_refused(line):
    with pytest.raises(BadOpening, match=r"^bad (sender|host) in From line"):
        opened(line)


def test_lines_without_end_are_refused_before_they_fill_the_memory():
    endless = b"From " + b"x" * MAX_OPENING_BYTES
    assert read_opening(endless[:MAX_OPENING_BYTES], "alpha", is_whole=False) is None
    with pytest.raises(BadOpening, match="too long"):
        read_opening(endless, "alpha", is_whole=False)
    with pytest.raises(BadOpening, match="too long"):
        read_opening(b"From x\n" * MAX_OPENING_BYTES, "alpha", is_whole=False)


def test_more_is_asked_for_until_the_first_line_of_the_message():
    whole = f"{ALPHA}\n>From carl {DATE} remote from gamma\n".encode() + REST
    size = whole.index(REST)
    for end in range(len(whole)):
        opening = read_opening(whole[:end], "alpha", is_whole=False)
        assert (opening is None) == (end <= size), end
        if opening is not None:
            assert (opening.reverse_path, opening.size_bytes) == ("alpha!gamma!carl", size)


def test_a_message_of_nothing_but_its_envelope_is_empty():
    for text in (ALPHA, ALPHA + "\n"):
        opening = read_opening(text.encode(), "alpha", is_whole=True)
        assert (opening.reverse_path, opening.size_bytes) == ("alpha!alice", len(text))


@given(st.binary(max_size=300), st.booleans())
def test_nothing_else_comes_of_any_bytes(start, is_whole):
    try:
        opening = read_opening(start, "alpha", is_whole=is_whole)
    except BadOpening:
        return
    assert opening is not None or not is_whole
    if opening is not None:
        assert 0 < opening.size_bytes <= len(start)


# --- writing


@pytest.mark.parametrize(
    ("sender", "host", "line"),
    [
        ("user@bsd.home", "", f"From user@bsd.home {DATE}"),
        ("bsd.home!user", "", f"From bsd.home!user {DATE}"),
        ("user", "bsd", f"From user  {DATE} remote from bsd"),
        ("far!user", "bsd", f"From user  {DATE} remote from far"),
        ("far!farther!user", "bsd", f"From farther!user  {DATE} remote from far"),
    ],
)
def test_the_line_that_we_write(sender, host, line):
    assert from_line(sender, DATE, host) == line


NAMES = st.text("abcdefgh-_.", min_size=1, max_size=9).filter(lambda name: name[0] not in "-.")


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_what_we_write_is_read_again(path):
    line = from_line("!".join(["bsd", *path]), DATE, "bsd").encode() + b"\n\n"
    opening = read_opening(line, "bsd", is_whole=True)
    assert opening.reverse_path == seen_from("!".join(path), "bsd")


# --- paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("<>", ""),
        ("a!b", "a!b"),
        ("<a!b>", "a!b"),
        ("a@b.example", "a@b.example"),
        ("<@x,@y:a@b.example>", "a@b.example"),
        ("a!b@c", "a!b@c"),
        ("!".join(["host"] * 60), "!".join(["host"] * 60)),
    ],
)
def test_a_path_is_a_bang_path_or_what_smtp_reads(text, path):
    assert read_path(text) == path


@pytest.mark.parametrize(
    "text", ["a b", "a!", "!a", "a!!b", "<a", "a,b", "a\nb", "a@", "@b", "a\0"]
)
def test_other_paths_are_refused(text):
    with pytest.raises(AddressError):
        read_path(text)


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("user", "user"),
        ("bsd!user", "user"),
        ("BSD.uucp!bsd!alpha!bsd!user", "alpha!bsd!user"),
        ("alpha!bsd!user", "alpha!bsd!user"),
        ("user@bsd", "user"),
        ("alpha!user@bsd.UUCP", "alpha!user"),
        ("user@bsd.home", "user@bsd.home"),
        ("bsd!user@far.example", "bsd!user@far.example"),
    ],
)
def test_a_recipient_s_path_goes_on_behind_our_name(path, here):
    assert seen_at(path, {"bsd"}) == here


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("", ""),
        ("a", "beta!a"),
        ("beta!a", "beta!a"),
        ("beta!beta!gamma!beta!a", "beta!gamma!beta!a"),
        ("gamma!a", "beta!gamma!a"),
        ("a@b", "a@b"),
        ("beta!a@b", "beta!a@b"),
    ],
)
def test_a_path_begins_with_the_neighbour_that_wrote_it(path, seen):
    assert seen_from(path, "beta") == seen
