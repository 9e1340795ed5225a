"""OpenSSH on a port of 127.0.0.1, as an ordinary user, with all that it needs in one folder.

Whoever has the client's key gets one forced command and nothing else. The user that is logged in is
one that only nss_wrapper knows, since the user that the tests run peers as may have no shell.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import socket
import subprocess
from typing import TYPE_CHECKING

from peers.found import require
from peers.processes import PeerFailed, Process, free_port, tail, wait_until
from peers.taylor import USER

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = "uucpssh"
_START_SECONDS = 15

_SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserEnvironment no
LogLevel VERBOSE
"""

_CLIENT = """\
Host node
HostName 127.0.0.1
Port {port}
User {login}
IdentityFile {folder}/{user}.key
IdentitiesOnly yes
UserKnownHostsFile {folder}/known
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
RequestTTY no
LogLevel ERROR
"""


class Sshd:
    """In use: `with Sshd(folder, command) as sshd: ... sshd.client() ...`.

    `folder` is made, in one that every user may enter. `command`: what a login runs, as the user
    `USER`, or as ourselves where the tests are not run by root.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self._found = require("openssh-server")
        self._folder = folder
        self._log = folder / "log"
        self.port = free_port()
        folder.mkdir()
        folder.chmod(0o755)
        for name in ("host", "client"):
            self._make_key(folder / name)
        public = (folder / "client.pub").read_text()
        options = f"restrict,command={_quoted(command)}"
        (folder / "authorized").write_text(f"{options} {public}")
        (folder / "sshd_config").write_text(_SERVER.format(port=self.port, folder=folder))
        host = (folder / "host.pub").read_text()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {host}")
        self._write_accounts()

    def _make_key(self, path: Path) -> None:
        keygen = self._found.program("ssh-keygen")
        subprocess.run(
            [keygen, "-q", "-t", "ed25519", "-N", "", "-f", path],
            env=self._found.environment,
            check=True,
            timeout=30,
        )

    def _write_accounts(self) -> None:
        user = _account()
        line = f"{LOGIN}:x:{user.pw_uid}:{user.pw_gid}:uucp:{self._folder}:/bin/sh\n"
        (self._folder / "passwd").write_text(line)
        (self._folder / "group").write_text(f"{LOGIN}:x:{user.pw_gid}:\n")
        for name in ("host", "authorized", "log"):
            (self._folder / name).touch()
            os.chown(self._folder / name, user.pw_uid, user.pw_gid)

    def __enter__(self) -> Sshd:
        (wrapper,) = self._found.root.glob("usr/lib/*/libnss_wrapper.so")
        environment = {
            **self._found.environment,
            "LD_PRELOAD": str(wrapper),
            "NSS_WRAPPER_PASSWD": str(self._folder / "passwd"),
            "NSS_WRAPPER_GROUP": str(self._folder / "group"),
        }
        command = [str(self._found.program("sshd")), "-D", "-e"]
        command += ["-f", str(self._folder / "sshd_config")]
        if os.geteuid() == 0:
            user = _account()
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            command = ["setpriv", *ids, "env", *_set(environment), *command]
            environment = dict(os.environ)
        self._process = Process(command, log=self._log, environment=environment)
        if not wait_until(self._answers, _START_SECONDS):
            self._process.stop()
            raise PeerFailed(f"sshd does not come up\n{tail(self._log)}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as c,
        ):
            return c.recv(4) == b"SSH-"
        return False

    def client(self, user: str | None = None) -> str:
        """The command line that logs in, for a program that runs as that user (None: as us).

        ssh takes a key for its own that no other user can read.
        """
        account = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        name = account.pw_name
        key = self._folder / f"{name}.key"
        key.write_bytes((self._folder / "client").read_bytes())
        key.chmod(0o600)
        os.chown(key, account.pw_uid, account.pw_gid)
        config = self._folder / f"{name}.config"
        config.write_text(
            _CLIENT.format(port=self.port, login=LOGIN, folder=self._folder, user=name)
        )
        program = self._folder / f"ssh-for-{name}"
        ssh = shlex.join([str(self._found.program("ssh")), "-F", str(config), "node"])
        libraries = self._found.environment.get("LD_LIBRARY_PATH", "")
        program.write_text(f"#!/bin/sh\nLD_LIBRARY_PATH={shlex.quote(libraries)} exec {ssh}\n")
        program.chmod(0o755)
        return str(program)

    @property
    def log(self) -> str:
        """What it says."""
        return tail(self._log)


def _account() -> pwd.struct_passwd:
    return pwd.getpwnam(USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _set(environment: dict[str, str]) -> list[str]:
    """For env(1); LD_PRELOAD must not meet setpriv."""
    names = ("LD_PRELOAD", "LD_LIBRARY_PATH", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP", "PATH")
    return [f"{name}={environment[name]}" for name in names if name in environment]


def _quoted(text: str) -> str:
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
