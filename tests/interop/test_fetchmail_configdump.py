"""Real fetchmail and ours make the same of a .fetchmailrc.

More of them: RELAYNODE_SOAK=1.
"""

import os
import socket
import subprocess
from random import Random

import pytest

from fetchmailrc_texts import rc_text
from peers.found import require
from relaynode.config.fetchmail_dump import dump
from relaynode.config.fetchmail_entries import complete
from relaynode.config.fetchmailrc import FetchmailrcError, parse
from relaynode.config.fetchmailrc_file import surroundings

COUNT = 20_000 if os.environ.get("RELAYNODE_SOAK") else 150
AS_ROOT = "fetchmail: WARNING: Running as root is discouraged."


@pytest.fixture
def environment(tmp_path):
    names = {key: os.environ[key] for key in ("LOGNAME", "USER") if key in os.environ}
    return {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **names}


def theirs(program, rc, environment):
    ended = subprocess.run(
        [program, "--configdump", "-f", rc],
        capture_output=True,
        env=environment,
        cwd=rc.parent,
        stdin=subprocess.DEVNULL,
    )
    lines = ended.stderr.decode().replace(str(rc), "RC").splitlines()
    said = compared(line for line in lines if line != AS_ROOT)
    text = ended.stdout.decode("latin-1")
    return ended.returncode, said, evaluated(text) if ended.returncode == 0 else None


def ours(text, around):
    try:
        setup = complete(parse(text, "RC"), around)
    except FetchmailrcError as error:
        return error.exit_code, compared(error.lines), None
    return 0, compared(setup.warnings), evaluated(dump(setup))


def compared(lines):
    """Without what the C library says; a token that is told may have a line end in it."""
    return [line for line in "\n".join(lines).splitlines() if "getaddrinfo" not in line]


def evaluated(text):
    made = {}
    exec(text, made)
    return made["fetchmailrc"]


def is_broken_in_fetchmail(text):
    """`defaults` with several users, names longer than its buffer, line ends in server names."""
    try:
        rc = parse(text, "RC")
    except FetchmailrcError:
        return False
    names = [str(name) for server in rc.servers for user in server.users for name in user.names]
    first = rc.servers[0] if rc.servers else None
    several = first is not None and first.name == "defaults" and len(first.users) > 1
    is_cut = any(len(name) > 100 for name in names)
    return several or is_cut or any("\n" in server.name for server in rc.servers)


def test_random_files_mean_the_same(tmp_path, monkeypatch, environment):
    program = require("fetchmail").program("fetchmail")
    monkeypatch.chdir(tmp_path)
    rc = tmp_path / "rc"
    around = surroundings(socket.gethostname(), environment)
    refused = 0
    for seed in range(COUNT):
        text = rc_text(Random(seed))
        rc.write_text(text, newline="")
        rc.chmod(0o600)
        if is_broken_in_fetchmail(text):
            continue
        wanted = theirs(program, rc, environment)
        assert ours(text, around) == wanted, f"seed {seed}: {text!r}"
        refused += wanted[2] is None
    assert 0.1 * COUNT < refused < 0.9 * COUNT
