"""Every recorded `fetchmail --configdump`, asked of our own reading of the file.

A case agrees, or FETCHMAILRC_DIFFERENCES names it and says why we do otherwise.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Any

import pytest

from oracle.conftest import RC_OUTCOME
from relaynode.config.fetchmail_dump import dump
from relaynode.config.fetchmail_entries import complete
from relaynode.config.fetchmail_options import parse_command_line, usage
from relaynode.config.fetchmail_setup import Surroundings
from relaynode.config.fetchmailrc import FetchmailrcError, parse
from relaynode.config.fetchmailrc_file import check_is_private
from relaynode.config.netrc_file import read_netrc

FETCHMAILRC_DIFFERENCES: dict[str, str] = {}
"""Patterns of case names, and why fetchmail's answer is not ours."""

SERVICES = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop2": 109,
    "pop3": 110, "nntp": 119, "imap2": 143, "imap": 143, "https": 443, "submissions": 465,
    "ssmtp": 465, "submission": 587, "imaps": 993, "pop3s": 995, "kpop": 1109, "odmr": 366,
}  # fmt: skip
"""Of the machine they were recorded on: Debian's /etc/services."""


def test_rc_case(rc_case, tmp_path, record_property):
    given, wanted = answer(rc_case, tmp_path), expected(rc_case)
    known = given != wanted and any(
        fnmatchcase(rc_case["name"], p) for p in FETCHMAILRC_DIFFERENCES
    )
    outcome = "agree" if given == wanted else "documented" if known else "differ"
    record_property(RC_OUTCOME, outcome)
    assert given == wanted or known, (
        f"{rc_case['rc']}:\n  fetchmail: {wanted}\n  we:        {given}"
    )


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """Exit code, what was said on standard error without the list of options, the set-up."""
    want = case["expect"]
    lines = want["stderr"].partition("usage:")[0].splitlines()
    said = ["fetchmail:" + line.partition("fetchmail:")[2] if line.startswith("/") else line
            for line in lines]  # fmt: skip
    return {"exit": want["exit"], "stderr": said, "config": want["config"]}


def answer(case: dict[str, Any], folder: Any) -> dict[str, Any]:
    """The same from us."""
    try:
        line = parse_command_line(case["args"])
        _check_permission(case, folder)
        setup = complete(parse(case["rc"], "RC"), _surroundings(case), line.overrides)
    except FetchmailrcError as error:
        assert "usage:" in usage()
        return {"exit": error.exit_code, "stderr": list(error.lines), "config": None}
    made: dict[str, Any] = {}
    exec(dump(setup), made)
    return {"exit": 0, "stderr": setup.warnings, "config": _as_json(made["fetchmailrc"])}


def _check_permission(case: dict[str, Any], folder: Any) -> None:
    rc = folder / "RC"
    rc.write_text(case["rc"], encoding="latin-1", newline="")
    rc.chmod(int(case["mode"], 8))
    owner = os.geteuid() + (case["owner"] != "the user")
    found = rc.stat()
    check_is_private("RC", os.stat_result((*found[:4], owner, *found[5:])))


def _surroundings(case: dict[str, Any]) -> Surroundings:
    secrets = read_netrc(case["home_files"].get(".netrc", ""))
    return Surroundings(
        login="alice",
        hostname="gate.example.org",
        home="/home/alice",
        folder="/home/alice/f",
        port_of=SERVICES.get,
        secret_of=lambda host, login: secrets.get((host, login)),
    )


def _as_json(value: Any) -> Any:
    """Tuples as the lists that JSON has, TRUE and FALSE as they come."""
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("mode", ["0o600", "0o620"])
def test_a_changed_answer_would_be_noticed(mode, tmp_path):
    case = {"rc": "poll a user u", "mode": mode, "owner": "the user", "args": [], "home_files": {}}
    assert answer(case, tmp_path)["exit"] == (0 if mode == "0o600" else 6)
