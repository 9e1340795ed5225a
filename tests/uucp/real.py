"""A real Taylor UUCP named beta, whose one neighbour alpha is a call of ours."""

from __future__ import annotations

import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

from peers.found import require
from peers.processes import PeerFailed
from peers.taylor import Taylor

if TYPE_CHECKING:
    from pathlib import Path

_SYS = """\
commands rmail
command-path {folder}/commands /bin /usr/bin
system alpha
time any
chat "" ""
protocol {protocol}
{parameters}
local-send /
remote-send {folder}/public
local-receive /
remote-receive {folder}/public
{way}
"""

_TCP = """\
address 127.0.0.1
port type tcp
port service {service}"""


class Beta(Taylor):
    """`service`: where alpha listens, if beta is to call it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "beta", [])
        shutil.copyfile(require("uucp").program("uucp"), folder / "bin" / "uucp")
        (folder / "bin" / "uucp").chmod(0o755)
        (folder / "outbox").mkdir(mode=0o777)
        (folder / "outbox").chmod(0o777)
        (folder / "passwd").write_text("Ualpha secret\n")
        config = folder / "config"
        config.write_text(
            config.read_text().replace(f"passwdfile {folder}/empty", f"passwdfile {folder}/passwd")
            + "debug handshake,uucp-proto,abnormal\n"
        )
        self.speak("t")

    def speak(
        self, protocol: str, parameters: str = "", service: int = 0, *, way: str = ""
    ) -> None:
        """Which protocols it uses with alpha. `way`: how it calls, if not over TCP."""
        (self.folder / "sys").write_text(
            _SYS.format(
                folder=self.folder,
                protocol=protocol,
                parameters=parameters,
                way=way or _TCP.format(service=service or 540),
            )
        )

    # --- what it is to do

    def put_public(self, name: str, content: bytes) -> None:
        """A file that alpha may fetch."""
        path = self.folder / "public" / name
        path.write_bytes(content)
        path.chmod(0o644)

    def public(self, name: str) -> bytes:
        """A file that alpha has sent."""
        return (self.folder / "public" / name).read_bytes()

    def queue_file(self, content: bytes, target: str, name: str = "out") -> None:
        """Have a file sent to alpha."""
        path = self.folder / "outbox" / name
        path.write_bytes(content)
        path.chmod(0o644)
        self._do("uucp", "-r", "-C", str(path), f"alpha!{target}")

    def queue_fetch(self, source: str, name: str) -> None:
        """Have a file fetched from alpha into the public folder."""
        self._do("uucp", "-r", f"alpha!{source}", f"~/{name}")

    def queue_mail(self, content: bytes, *recipients: str, grade: str = "C") -> None:
        """Have a mail delivered at alpha."""
        self._do("uux", "-", "-r", f"-g{grade}", "alpha!rmail", *recipients, data=content)

    def _do(self, program: str, *arguments: str, data: bytes = b"") -> None:
        done = subprocess.run(
            [self.folder / "bin" / program, "-I", self.folder / "config", *arguments],
            input=data,
            cwd="/",
            **self.as_user,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise PeerFailed(f"{program} ended with {done.returncode}\n{self.log()}")

    # --- calls

    def answer(self, connection: socket.socket, *, asks_login: bool = False) -> subprocess.Popen:
        """Be called over a socket."""
        options = ["-l"] if asks_login else []
        return subprocess.Popen(
            [self.folder / "bin" / "uucico", "-I", self.folder / "config", *options],
            stdin=connection,
            stdout=connection,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self.as_user,
        )

    def begin_call(self) -> subprocess.Popen:
        """Call alpha."""
        return subprocess.Popen(
            [self.folder / "bin" / "uucico", "-I", self.folder / "config", "-S", "alpha"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self.as_user,
        )

    @property
    def debug(self) -> str:
        """Its debug log."""
        path = self.folder / "log" / "Debug"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def has_jobs(self) -> bool:
        """Whether anything waits for alpha."""
        return any((self.folder / "spool").glob("alpha/C./C.*"))
