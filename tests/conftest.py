"""Which tests share a process, when they run in several (`pytest -n`); how long one may take."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

SOAK_SECONDS = 3600

FOR_THEMSELVES = ("tests/uucp/test_taylor.py", "tests/interop/test_uucp_*.py")
"""Each of their tests starts peers of its own, and mostly waits for them."""


class Sharing(LoadScopeScheduling):
    """The tests of a file share what its fixtures start; those of `oracle` what they have found."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if any(fnmatch(file, pattern) for pattern in FOR_THEMSELVES):
            return nodeid
        return "oracle" if file.startswith("tests/oracle/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """See pytest-xdist."""
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See pytest. Where much more is tried than usual, each test has an hour."""
    if os.environ.get("RELAYNODE_SOAK"):
        for item in items:
            item.add_marker(pytest.mark.timeout(SOAK_SECONDS), append=False)
