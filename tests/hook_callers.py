"""A `relaynode` that notes who calls it how, for hooks that are run as their callers run them."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ME = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

FAKE = """\
#!/bin/sh
echo "$(id -un): $*" >>{folder}/calls
read -r _ <{folder}/gate
"""


class Fake:
    """A `relaynode` that notes who calls it how, and does not end before the test lets it."""

    def __init__(self, folder):
        self.folder = folder
        self.program = folder / "relaynode"
        self.program.write_text(FAKE.format(folder=folder))
        self.program.chmod(0o755)
        os.mkfifo(folder / "gate")
        (folder / "calls").touch()
        for name in ("gate", "calls"):
            (folder / name).chmod(0o666)

    def calls(self, hook, *arguments, **environment):
        """Run a hook; the calls it has led to, when all that it started has ended.

        The hook must return while the program still runs, and leave it none of the caller's files:
        it is waited for, and for the end of its output, before the program may end.
        """
        gate = os.open(self.folder / "gate", os.O_RDWR)
        alive, inherited = os.pipe()
        ended = subprocess.run(
            [hook, *arguments],
            env={"RELAYNODE_SETTINGS": str(self.folder / "settings"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[inherited],
            cwd="/",
            timeout=60,
        )
        os.close(inherited)
        os.write(gate, b"\n" * 10)
        assert os.read(alive, 1) == b""  # the end of the last process that had the other end
        os.close(alive)
        os.close(gate)
        assert (ended.returncode, ended.stdout) == (0, b"")
        return (self.folder / "calls").read_text().splitlines()


@contextlib.contextmanager
def fake_relaynode():
    """One, in a folder that everybody may look into."""
    folder = Path(tempfile.mkdtemp(prefix="relaynode-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield Fake(folder)
    finally:
        shutil.rmtree(folder)
