"""uucico's options: whom it calls, when, and when it answers."""

from __future__ import annotations

import pytest

from relaynode.cli import uucico, uucico_name
from relaynode.errors import EX_OK, EX_TEMPFAIL


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Run `uucico` with words; what it would have done."""
    path = tmp_path / "relaynode.toml"
    path.write_text('[node]\nhostname = "bsd.home"\n')
    done = {"code": EX_OK}

    def call(config, names, **options):
        done["asked"] = ("call", names, options)
        return done["code"]

    def answer(config, **options):
        done["asked"] = ("answer", options)
        return done["code"]

    monkeypatch.setattr(uucico, "call", call)
    monkeypatch.setattr(uucico, "answer", answer)

    def run(*words, code=EX_OK):
        done["code"] = code
        ended = uucico_name.main([*words, "-I", str(path)])
        return ended, *done["asked"]

    return run


@pytest.mark.parametrize(
    ("words", "names", "has_patience", "only_with_work"),
    [
        (["-r1", "-sbeta"], ["beta"], True, False),
        (["-r1", "-Sbeta"], ["beta"], False, False),
        (["-s", "beta", "-f"], ["beta"], False, False),
        (["-S", "beta", "-C"], ["beta"], False, True),
        (["--master", "--system", "beta"], ["beta"], True, False),
        (["-r1"], [], True, True),
    ],
)
def test_the_master_calls(asked, words, names, has_patience, only_with_work):
    ended, verb, called, options = asked(*words)
    assert (ended, verb, called) == (EX_OK, "call", names)
    assert (options["has_patience"], options["only_with_work"]) == (has_patience, only_with_work)


def test_only_jobs_of_a_grade_and_what_is_said(asked):
    _, _, _, options = asked("-Sbeta", "-gC", "-x", "all")
    assert (options["grade"], options["is_verbose"]) == ("C", True)


@pytest.mark.parametrize(
    ("words", "has_prompts", "login"),
    [([], False, None), (["-l"], True, None), (["-r0", "-uUalpha"], False, "Ualpha")],
)
def test_without_a_system_it_answers(asked, words, has_prompts, login):
    ended, verb, options = asked(*words)
    assert (ended, verb) == (EX_OK, "answer")
    assert (options["has_prompts"], options["login"]) == (has_prompts, login)


def test_whatever_goes_wrong_is_one(asked, tmp_path, capsys):
    assert asked("-Sbeta", code=EX_TEMPFAIL)[0] == 1
    assert uucico_name.main(["-Sbeta", "-I", str(tmp_path / "none.toml")]) == 1
    assert "none.toml" in capsys.readouterr().err
