"""swaks, an SMTP client written by somebody else."""

from __future__ import annotations

import shutil
import subprocess

from peers.found import PeerMissing, require

_TIMEOUT_SECONDS = 60


def swaks(*arguments: str, message: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run swaks with `arguments` and return what it said (its exit status is not checked).

    `message` becomes its standard input, for `--data -`; else that is empty. Settings of the user
    who runs the tests play no part.
    """
    found = require("swaks")
    perl = shutil.which("perl", path=found.environment["PATH"])
    if perl is None:
        raise PeerMissing("swaks needs perl")
    done = subprocess.run(
        [perl, found.program("swaks"), "--config", "", *arguments],
        env={name: value for name, value in found.environment.items() if name[:5] != "SWAKS"},
        input=message or b"",
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)
