"""Which tests share a process, when they run in several (`pytest -n`)."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

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
