"""Every recorded answer of real sendmail, asked of this program.

A case agrees, or a section of DIFFERENCES.md names it and says why we do otherwise. The pattern of
a section that no case needs any more fails too, so that the file stays true.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from oracle import differences
from oracle.conftest import OUTCOME, OWN_CASES
from oracle.site import Site

HERE = Path(__file__).parent
DIFFERENCES = differences.read(HERE / "DIFFERENCES.md")


@pytest.fixture(scope="session")
def site_of(recorded, tmp_path_factory):
    """The site of a configuration, made once."""
    sites = {}

    def get(name):
        if name is None:
            return None
        if name not in sites:
            sites[name] = Site(name, recorded["configs"][name], tmp_path_factory.mktemp("site"))
        return sites[name]

    return get


@pytest.fixture(scope="session")
def used_differences():
    return set()


def test_case(case, site_of, outcomes, used_differences, record_property):
    answers = importlib.import_module(f"oracle.answers.{case['kind']}")
    given, wanted = answers.answer(site_of(case.get("config")), case), answers.expected(case)
    known = [one for one in DIFFERENCES if one.covers(case)] if given != wanted else []
    used_differences.update(known)
    outcome = "agree" if given == wanted else "documented" if known else "differ"
    outcomes[outcome] += 1
    record_property(OUTCOME, outcome)
    assert given == wanted or known, (
        f"{differences.input_of(case)}:\n  sendmail: {wanted}\n  we:       {given}"
    )


def test_the_documented_differences_are_few_and_all_of_them_are_real(
    request, recorded, outcomes, used_differences
):
    if request.config.getoption("--cases").resolve() != OWN_CASES or request.session.testsfailed:
        pytest.skip("holds for a whole, clean run of our own cases")
    if sum(outcomes.values()) < len(recorded["cases"]):
        pytest.skip("holds for a whole run")
    assert set(DIFFERENCES) == used_differences
    assert outcomes["documented"] < 0.05 * sum(outcomes.values())
