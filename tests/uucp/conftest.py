"""The vectors: which file or folder of them, and the count at the end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
OWN_FILES = (HERE / "vectors.json", HERE / "more-calls.json")

OUTCOMES = pytest.StashKey[Counter]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors", type=Path, help="another file or folder of UUCP vectors and calls"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = Counter()


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


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Counter:
    """How vectors and calls ended: agree or differ."""
    return request.config.stash[OUTCOMES]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    counts = config.stash[OUTCOMES]
    total = sum(counts.values())
    if total:
        terminalreporter.write_sep("=", f"{total} recorded UUCP vectors and calls")
        for outcome in ("agree", "differ"):
            share = 100 * counts[outcome] / total
            terminalreporter.write_line(f"{outcome:<12}{counts[outcome]:>6}  {share:5.1f} %")
