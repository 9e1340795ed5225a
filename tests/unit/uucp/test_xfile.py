"""Execution files are read as Taylor reads them, and traps in them are seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaynode.errors import RemoteProtocolError
from relaynode.uucp.xfile import (
    MAX_BYTES,
    ExecutionFile,
    NeededFile,
    format_execution,
    parse,
)


def test_the_file_for_a_mail_is_written_as_taylor_writes_it():
    execution = ExecutionFile(
        ("rmail", "bob"), "uucp", "alpha", "D.alphaN0001", files=(NeededFile("D.alphaN0001"),)
    )
    content = b"U uucp alpha\nF D.alphaN0001\nI D.alphaN0001\nC rmail bob\n"
    assert format_execution(execution) == content
    assert parse(content) == execution


def test_lines_may_stand_in_any_order_and_unknown_ones_are_passed_over():
    execution = parse(
        b"# a comment\nF D.alphaN0001 name\nO result beta\nY what\nC diff a b\nn\nZ\nB\ne\n"
        b"R alice\nI D.alphaN0001\nM status\nU bob alpha\n\nE\nxyz\n"
    )
    assert execution == ExecutionFile(
        ("diff", "a", "b"),
        "bob",
        "alpha",
        "D.alphaN0001",
        "result",
        "beta",
        (NeededFile("D.alphaN0001", "name"),),
        "alice",
        mails_on_failure=True,
        mails_on_success=True,
        returns_input=True,
        wants_shell=True,
    )


def test_quoted_arguments_keep_their_blanks():
    assert parse(b"Q\nC rmail a\\040b c\\\\d\n").command == ("rmail", "a b", "c\\d")


def test_without_the_mark_backslashes_are_themselves():
    assert parse(b"C rmail a\\040b\n").command == ("rmail", "a\\040b")


def test_shell_characters_are_only_characters():
    command = parse(b"C rmail $(reboot) `x` ; rm | 'a b'\n").command
    assert command == ("rmail", "$(reboot)", "`x`", ";", "rm", "|", "'a", "b'")


def test_crlf_ends_lines_too():
    assert parse(b"U u alpha\r\nC rmail bob\r\n").command == ("rmail", "bob")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"U uucp alpha\n",
        b"C\n",
        b"C rmail a\x07b\n",
        b"Q\nC rmail a\\012b\n",
        b"U a\x1b b\nC rmail x\n",
        b"F D.a ../../etc/cron.d/x\nC rmail x\n",
        b"F D.a /etc/x\nC rmail x\n",
        b"F D.a ..\nC rmail x\n",
        b"F D.a .profile\nC rmail x\n",
        b"F /etc/passwd\nC rmail x\n",
        b"F ../D.a\nC rmail x\n",
        b"F C.a\nC rmail x\n",
        b"I C.alphaN0001\nC rmail x\n",
        b"O D.betaN0001\nC rmail x\n",
        b"O X.betaN0001\nC rmail x\n",
        b"F D.a\n" * 101 + b"C rmail x\n",
        b"#" * (MAX_BYTES + 1),
    ],
)
def test_traps_are_refused(content):
    with pytest.raises(RemoteProtocolError):
        parse(content)


def test_a_spool_name_as_output_elsewhere_is_the_other_systems_matter():
    assert parse(b"O D.resultN0001 alpha\nC rmail x\n").output_system == "alpha"


@given(st.binary(max_size=400))
def test_any_content_is_an_execution_or_refused(content):
    try:
        execution = parse(content)
    except RemoteProtocolError:
        return
    assert execution.command


WORD = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), min_codepoint=32), min_size=1, max_size=20
).filter(lambda text: text.isprintable() and not text.isspace())


@given(st.lists(WORD, min_size=1, max_size=5), WORD, st.booleans(), st.booleans())
def test_what_is_written_is_read_again(command, user, never, on_failure):
    execution = ExecutionFile(
        tuple(command),
        user,
        "alpha",
        "D.alphaN0001",
        files=(NeededFile("D.alphaN0001"),),
        results_to=user,
        mails_never=never,
        mails_on_failure=on_failure,
    )
    assert parse(format_execution(execution)) == execution
