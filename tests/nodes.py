"""Nodes for tests: their folders, configurations and commands."""

import os
import subprocess
import sys
from pathlib import Path

from peers.processes import Process, wait_until
from relaynode.config.loader import load
from relaynode.node import make_node

SOURCE = Path(__file__).parents[1]
NO_DNS = '[dns]\nservers = ["127.0.0.1:9"]\n'
"""The port of the discard service: where none runs, a question is refused at once."""


class TestNode:
    """One node in a folder of its own.

    `sections` is TOML behind a [node] table that is made here; `{folder}` in it stands for the
    folder. Local mail goes to Maildirs under folder/mail. Nobody answers for the DNS, unless
    `sections` has a [dns] of its own: no test asks the world's.
    """

    __test__ = False

    def __init__(
        self, folder, sections="", *, users=("user", "postmaster"), node_keys="", tables=None
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tables").mkdir(exist_ok=True)
        for name, text in (tables or {}).items():
            (self.folder / "tables" / name).write_text(text)
        self.path = self.folder / "relaynode.toml"
        names = ", ".join(f'"{user}"' for user in users)
        self.path.write_text(
            "[node]\n"
            'hostname = "bsd.home"\n'
            'spool = "spool"\n'
            'tables = "tables"\n'
            f"{node_keys}\n" + ("" if "[dns]" in sections else NO_DNS) + "[local]\n"
            f'mailbox = "{self.folder}/mail/{{user}}/"\n'
            f"users = [{names}]\n" + sections.replace("{folder}", str(self.folder))
        )

    def password(self, name, text="secret"):
        """A password file of that name, readable by its owner only."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")
        return path

    def config(self):
        """The checked configuration."""
        return load(self.path)

    def open(self, **more):
        """The node, in this process."""
        return make_node(self.config(), **more)

    @property
    def environment(self):
        """For the node's commands."""
        return {
            **os.environ,
            "RELAYNODE_CONFIG": str(self.path),
            "PYTHONPATH": str(SOURCE),
            "PYTHONWARNINGS": "error",
        }

    def command(self, *words):
        """The command line of `relaynode WORDS`."""
        return [sys.executable, "-m", "relaynode", *words]

    def run(self, *words, stdin=b"", **more):
        """Run `relaynode WORDS` and give what subprocess.run gives, text decoded."""
        return self._run(self.command(*words), stdin, more)

    def sendmail(self, *words, stdin=b"", **more):
        """Run `sendmail WORDS` the whole way."""
        command = [sys.executable, "-m", "relaynode.cli.sendmail", *words]
        return self._run(command, stdin, more)

    def _run(self, command, stdin, more):
        ended = subprocess.run(
            command, input=stdin, capture_output=True, env=self.environment, timeout=240, **more
        )
        ended.stdout = ended.stdout.decode("utf-8", "replace")
        ended.stderr = ended.stderr.decode("utf-8", "replace")
        return ended

    def launcher(self):
        """The fast `sendmail`, installed in the folder."""
        ended = self.run("install-names", str(self.folder / "bin"))
        assert ended.returncode == 0, ended.stderr
        return self.folder / "bin" / "sendmail"

    def daemon(self):
        """A running daemon: a context manager."""
        return NodeDaemon(self)

    def mails(self, user):
        """The contents of a user's Maildir as they lie there, LF line ends."""
        maildir = self.folder / "mail" / user
        files = [*maildir.glob("new/*"), *maildir.glob("cur/*")]
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.name)]


class NodeDaemon:
    """`relaynode serve` as a process."""

    def __init__(self, node):
        self.node = node
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start, and wait until it is ready."""
        log = self.node.folder / "daemon.log"
        before = log.read_text().count("ready on") if log.exists() else 0
        self.process = Process(
            self.node.command("serve"), log=log, environment=self.node.environment
        )
        ready = wait_until(
            lambda: (
                not self.process.is_running
                or (log.exists() and log.read_text().count("ready on") > before)
            ),
            15,
        )
        assert ready and self.process.is_running, log.read_text()

    def stop(self):
        """SIGTERM, and wait."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def log(self):
        """What it has written."""
        return (self.node.folder / "daemon.log").read_text()


def body_of(content):
    """The body of a message with LF or CRLF line ends."""
    for blank in (b"\r\n\r\n", b"\n\n"):
        head, found, body = content.partition(blank)
        if found and (blank == b"\r\n\r\n" or b"\r\n" not in head):
            return body
    return b""
