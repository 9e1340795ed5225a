"""`sendmail -bd`, `-bD` and `-q30m`: the daemon, as start scripts call it.

    sendmail -bd -q30m     the daemon in the background; refused if one runs already
    sendmail -q30m         the same; well content if one runs already, for a second call of this
                           kind is only meant to empty a second queue, which we do not have
    sendmail -bD           in the foreground

How often the queue is tried is not for the command line to say: it follows from the links. The
process id is in `daemon.pid` in the spool, for the script that stops it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.cli import log_to
from relaynode.cli.client import DaemonClient
from relaynode.config.loader import load
from relaynode.errors import EX_OK, EX_TEMPFAIL, BusyError, RelaynodeError

if TYPE_CHECKING:
    from relaynode.config.loader import Config

START_SECONDS = 30.0
"""How long the daemon may take until it answers."""

_LOOK_SECONDS = 0.05


def start(config: Config, *, is_needed: bool = True) -> int:
    """Start the daemon and return when it answers; its own exit code if it ends instead.

    `is_needed`: false where one that runs already will do. Raises: BusyError.
    """
    if _answers(config):
        if is_needed:
            raise BusyError(f"{config.control_socket}: a daemon serves this spool already")
        return EX_OK
    path = str(config.path.resolve()) if config.path is not None else ""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "relaynode.cli.background", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,  # until it answers: whoever reads ours must not wait for its end
        start_new_session=True,
        cwd="/",
        env=moved_environment(),
    ) as process:
        code = _wait(config, process)
        if code == EX_OK:
            _pid_file(config).write_text(f"{process.pid}\n")
        elif process.stderr is not None:
            sys.stderr.write(process.stderr.read().decode("utf-8", "replace"))
        process.returncode = code  # nobody waits for one that goes on
    return code


def moved_environment() -> dict[str, str]:
    """The daemon leaves the folder it was started in; what names modules must not be relative."""
    found = dict(os.environ)
    if path := found.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    return found


def _wait(config: Config, process: subprocess.Popen[bytes]) -> int:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        code = process.poll()
        if code is not None:
            return code
        if _answers(config):
            return EX_OK
        time.sleep(_LOOK_SECONDS)
    process.kill()
    return EX_TEMPFAIL


def _answers(config: Config) -> bool:
    daemon = DaemonClient.connect(config.control_socket)
    if daemon is None:
        return False
    daemon.close()
    return True


def main() -> int:
    """What `start` starts: the daemon, which tells syslog, or a file if there is none."""
    from relaynode.cli.serve import serve

    path = Path(sys.argv[1]) if sys.argv[1:] and sys.argv[1] else None
    try:
        config = load(path, with_secrets=False)
        log_to.syslog(config)
        serve(config, "syslog")
        _pid_file(config).unlink(missing_ok=True)
    except RelaynodeError as error:
        print(f"sendmail: {error}", file=sys.stderr)
        return error.exit_code
    return EX_OK


def _pid_file(config: Config) -> Path:
    return config.spool / "daemon.pid"


if __name__ == "__main__":
    sys.exit(main())
