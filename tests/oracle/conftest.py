"""The case runner: which cases file, and the count at the end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
OWN_CASES = HERE / "sendmail-cases.json"
OWN_RC_CASES = HERE / "fetchmailrc-cases.json"

OUTCOME = "oracle outcome"
RC_OUTCOME = "fetchmailrc outcome"
"""Among a test's properties, which find their way home from other processes."""

_FILES = {OUTCOME: "--cases", RC_OUTCOME: "--fetchmailrc-cases"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=Path, default=OWN_CASES, help="another file of recorded cases")
    parser.addoption(
        "--fetchmailrc-cases", type=Path, default=OWN_RC_CASES, help="another file of rc files"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = _recorded(metafunc.config)["cases"]
        metafunc.parametrize("case", cases, ids=[f"{case['kind']}-{case['id']}" for case in cases])
    if "rc_case" in metafunc.fixturenames:
        file = metafunc.config.getoption("--fetchmailrc-cases")
        cases = json.loads(file.read_text(encoding="utf-8"))
        metafunc.parametrize("rc_case", cases, ids=[case["name"] for case in cases])


def _recorded(config: pytest.Config) -> dict[str, Any]:
    """The cases, and the configurations they name: another file may refer to ours."""
    ours, found = _read(OWN_CASES), _read(config.getoption("--cases"))
    found["configs"] = {**ours["configs"], **found["configs"]}
    for case in (*ours["cases"], *found["cases"]):
        if case["kind"] == "newaliases":  # other cases name its text by `aliases_set`
            sets = found["configs"][case["config"]].setdefault("alias_sets", {})
            sets[case["aliases_set"]] = case["aliases"]
    return found


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    found.setdefault("configs", {})
    return found


@pytest.fixture(scope="session")
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The whole cases file."""
    return _recorded(request.config)


@pytest.fixture(scope="session")
def outcomes() -> Counter[str]:
    """How the cases of this process ended: agree, differ, documented."""
    return Counter()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for kind, option in _FILES.items():
        counts = _counted(terminalreporter, kind)
        total = sum(counts.values())
        if total:
            terminalreporter.write_sep("=", f"{config.getoption(option).name}: {total} cases")
            for outcome in ("agree", "differ", "documented"):
                share = 100 * counts[outcome] / total
                line = f"{outcome:<12}{counts[outcome]:>6}  {share:5.1f} %"
                terminalreporter.write_line(line)


def _counted(terminalreporter: Any, kind: str) -> Counter[str]:
    return Counter(
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == kind
    )
