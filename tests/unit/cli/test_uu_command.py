"""What uux understands of a command line."""

from __future__ import annotations

import pytest

from relaynode.cli.uu_command import Place, ReadCommand, Senseless, read_command


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["beta!rmail", "(bob)"], ReadCommand("beta", "rmail", ("bob",))),
        (["beta!rmail bob carl"], ReadCommand("beta", "rmail", ("bob", "carl"))),
        (["beta!rmail", "(c!d@e)"], ReadCommand("beta", "rmail", ("c!d@e",))),
        (["beta!rmail", "(a)", "()"], ReadCommand("beta", "rmail", ("a",))),
        (["echo", "hi"], ReadCommand("", "echo", ("hi",))),
        (["!echo"], ReadCommand("", "echo", ())),
        (["beta!lpr", "!fa"], ReadCommand("beta", "lpr", (Place("", "fa"),))),
        (["beta!lpr", "gamma!~/fa"], ReadCommand("beta", "lpr", (Place("gamma", "~/fa"),))),
        (["beta!c", "<!a", ">b"], ReadCommand("beta", "c", (), Place("", "a"), Place("", "b"))),
        (["beta!c <x!a"], ReadCommand("beta", "c", (), Place("x", "a"))),
        (["beta!c", "(<a)"], ReadCommand("beta", "c", ("<a",), wants_shell=True)),
        (
            ["beta!c", "a;b", "d|e&"],
            ReadCommand("beta", "c", ("a", ";", "b", "d", "|", "e", "&"), wants_shell=True),
        ),
        (["beta!c", "a*"], ReadCommand("beta", "c", ("a*",), wants_shell=True)),
        (["beta!c", "a~b{c}=d#"], ReadCommand("beta", "c", ("a~b{c}=d#",))),
    ],
)
def test_words_files_and_redirections(words, meant):
    assert read_command(words) == meant


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([""], "no command"),
        (["beta!"], "no command"),
        (["alpha!beta!rmail", "bob"], "not over several"),
        (["beta!c", "gamma!delta!fa"], "not known to us"),
        (["beta!c", "!"], "no file"),
        (["beta!c", "(a b)"], "Mismatched parentheses"),
        (["beta!c", "(a)b"], "Mismatched parentheses"),
        (["beta!c", "<"], "no file behind <"),
        (["beta!c", ">", ">", "x"], "no file behind >"),
        (["beta!c", "<a", "<b"], "Standard input specified twice"),
        (["beta!c", ">a", ">b"], "Standard output specified twice"),
        (["beta!c", "a\x00b"], "control character"),
        (["beta!c", "a\x1bb"], "control character"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(words, why):
    with pytest.raises(Senseless, match=why):
        read_command(words)
