"""`-bt` against dialogues that were held with real sendmail.

samples/bt-session.txt and bt-one-liners.txt hold what was typed and what was printed. Left out of
the comparison is what must differ: the order of a class, the program's own mailer definitions and
its help, and how a dialogue's end is noted.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oracle.site import Site
from relaynode.cli import address_test

SAMPLES = Path(__file__).parent / "samples"

GATE = {
    "hostname": "gate.example.org",
    "mc": (
        "FEATURE(use_cw_file)\nFEATURE(nocanonify)\nFEATURE(mailertable)\nFEATURE(virtusertable)\n"
        "MAILER(local)\nMAILER(smtp)\nMAILER(uucp)\n"
    ),
    "files": {
        "local-host-names": "example.org\n",
        "mailertable": (
            "uu.example uucp-dom:nbr\n"
            "refused.example error:5.7.1:550 Mail to this host is refused\n"
            "out.example esmtp:[relay.example.net]\n"
        ),
    },
}


def dialogues(name):
    """(typed, printed) of each dialogue in a sample."""
    text = (SAMPLES / name).read_text(encoding="utf-8")
    for one in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed = one.split("--- standard input\n")[1].split("--- output\n")[0]
        printed = one.split("--- output\n")[1].split("[exit status")[0]
        yield pytest.param(typed, printed, id=typed.split("\n", 1)[0])


@pytest.fixture
def site(tmp_path):
    return Site("gate", GATE, tmp_path)


def held(site, typed):
    return "".join(
        address_test.run(site.rules, typed.splitlines(), lambda domain: [f"mail.{domain}"])
    )


def compared(printed):
    """What can be compared of a dialogue, line by line."""
    printed = re.sub(r"> mailer 0 .*?\n> ", "> ", printed, flags=re.DOTALL)  # =M
    printed = re.sub(r"> (\(help text|RULESETS ADDRESS).*?\n> ", "> ", printed, flags=re.DOTALL)
    words = {"gate", "example.org", "localhost", "[192.0.2.1]", "gate.example.org"}  # $=w, $j ...
    return [line for line in printed.split("\n") if line.removeprefix("> ").strip() not in words]


@pytest.mark.parametrize(
    ("typed", "printed"), [*dialogues("bt-session.txt"), *dialogues("bt-one-liners.txt")]
)
def test_the_dialogue_is_sendmails(site, typed, printed):
    assert compared(held(site, typed)) == compared(printed)


def test_macros_and_classes_are_those_of_the_site(site):
    printed = held(site, "$j\n$w\n$m\n$k\n$=w\n$S\n").split("\n> ")[1:]
    assert printed[:4] == ["gate.example.org", "gate", "example.org", "gate.example.org"]
    own = {"[192.0.2.1]", "example.org", "gate", "gate.example.org", "localhost"}
    assert set(printed[4].split()) == own
    assert printed[5] == "Undefined"


def test_what_is_set_counts_until_the_dialogue_ends(site):
    typed = "/parse x@new.example\n.Cwnew.example\n/parse x@new.example\n.Dzval\n$z\n"
    said = held(site, typed)
    assert [line for line in said.split("\n") if line.startswith("mailer ")] == [
        "mailer esmtp, host new.example., user x@new.example",
        "mailer local, user x",
    ]
    assert said.endswith("> val\n> ")
    assert "new.example" not in site.rules.names.local


def test_nothing_that_is_typed_raises_anything(site):
    odd = ["/", "/parse", "/try", "/try x", "/map", "/map a", "$", "${", "$=", "$={", ".", ".D"]
    odd += [".C", ".{", "=", "=S3", "=X", "3", "3,", ",3 x", "nosuch x", "3 (", '3 "', "4 <@>"]
    odd += ["0 <@>", "MasqHdr <", "EnvToU a!", "/tryflags Z", "/try relay @", "\0", "3 \udcff"]
    assert held(site, "\n".join(odd)).count("> ") >= len(odd)


def test_the_dialogue_ends_with_quit(site):
    assert held(site, "/quit\n$j\n").endswith("Enter <ruleset> <address>\n> ")
