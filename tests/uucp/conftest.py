"""The vectors: which file or folder of them, and the count at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
OWN_FILES = (HERE / "vectors.json", HERE / "more-calls.json")

RECORDED = "recorded UUCP"
"""A property of the tests that are counted, which finds its way home from other processes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors", type=Path, help="another file or folder of UUCP vectors and calls"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    recorded = _read(metafunc.config.getoption("--vectors"))
    if "vector" in metafunc.fixturenames:
        vectors = recorded["vectors"]
        metafunc.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])
    if "recorded_call" in metafunc.fixturenames:
        calls = recorded["sessions"]
        metafunc.parametrize("recorded_call", list(calls.values()), ids=list(calls))


def _files(path: Path | None) -> Iterable[Path]:
    if path is None:
        return OWN_FILES
    return sorted(path.glob("*.json")) if path.is_dir() else [path]


def _read(path: Path | None) -> dict[str, Any]:
    """All vectors and sessions of a file, or of the files of a folder; ours without a path."""
    found: dict[str, Any] = {"vectors": [], "sessions": {}}
    for file in _files(path):
        content = json.loads(file.read_text(encoding="utf-8"))
        found["vectors"] += content.get("vectors", [])
        found["sessions"] |= content.get("sessions", {})
    return found


@pytest.fixture(scope="session")
def is_own(request: pytest.FixtureRequest) -> bool:
    """Whether these are the vectors of the checkout."""
    return request.config.getoption("--vectors") is None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_ours = item.path.is_relative_to(HERE)
        if is_ours and {"vector", "recorded_call"} & set(getattr(item, "fixturenames", ())):
            item.user_properties.append((RECORDED, True))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts = {
        outcome: sum(
            (RECORDED, True) in getattr(report, "user_properties", ())
            for key in keys
            for report in terminalreporter.stats.get(key, ())
        )
        for outcome, keys in (("agree", ("passed",)), ("differ", ("failed", "error")))
    }
    total = sum(counts.values())
    if total:
        terminalreporter.write_sep("=", f"{total} recorded UUCP vectors and calls")
        for outcome, count in counts.items():
            terminalreporter.write_line(f"{outcome:<12}{count:>6}  {100 * count / total:5.1f} %")
