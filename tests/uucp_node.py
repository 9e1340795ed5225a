"""Nodes with UUCP neighbours: their jobs, what they ran, their public folder and their sessions."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nodes import TestNode
from peers.found import leave_out
from peers.taylor import USER, as_user
from relaynode.queue.content import Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from relaynode.node import Node
    from relaynode.queue.uucp.model import Execution, Job, SessionRecord

_END_SECONDS = 30

_COMMAND = """\
#!/bin/sh
PATH=/usr/bin:/bin
number=1
while ! mkdir {folder}/$number 2>/dev/null; do number=$((number + 1)); done
for word in "$0" "$@"; do printf '%s\\n' "$word"; done >{folder}/$number/argv
cat >{folder}/$number/stdin
touch {folder}/$number/whole
"""


class Commands:
    """A command path with commands that keep what they were run with, in `folder`.

    `folder` is made, in one that every user may enter.
    """

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self._kept = folder / "kept"
        for made in (folder, self._kept):
            made.mkdir()
            made.chmod(0o777)
        for name in names:
            (folder / name).write_text(_COMMAND.format(folder=self._kept))
            (folder / name).chmod(0o755)

    def ran(self) -> list[tuple[list[str], bytes]]:
        """What was run, to its end: the command with its arguments, and its input."""
        found = sorted(self._kept.iterdir(), key=lambda path: int(path.name))
        return [
            (_words((one / "argv").read_text().splitlines()), (one / "stdin").read_bytes())
            for one in found
            if (one / "whole").exists()
        ]

    def begun(self) -> int:
        """How often a command was begun."""
        return len(list(self._kept.iterdir()))


def _words(argv: list[str]) -> list[str]:
    return [argv[0].rpartition("/")[2], *argv[1:]]


class UucpNode(TestNode):
    """A node in `folder`, with the UUCP name of that folder. `sections`: TOML behind [uucp]."""

    def __init__(
        self, folder: Path, sections: str, *, uucp_keys: str = "", node_keys: str = ""
    ) -> None:
        self._as_user: dict[str, Any] = {}
        super().__init__(
            folder,
            f'[uucp]\nnodename = "{folder.name}"\nlocks = "{{folder}}/locks"\n'
            f"min_free_bytes = 0\n{uucp_keys}\n{sections}",
            node_keys=node_keys,
        )
        for part in ("locks", "out"):
            (self.folder / part).mkdir(exist_ok=True)
        self.password("pw")
        self.config()  # which says what is wrong with it

    # --- in the store

    def in_node(self, work: Callable[[Node], Awaitable[Any]]) -> Any:
        """What `work` gives, done in this process."""

        async def done() -> Any:
            node = self.open()
            try:
                return await work(node)
            finally:
                await node.close()

        return asyncio.run(done())

    def queue(self, *jobs: NewJob) -> None:
        """Queue jobs."""
        self.in_node(lambda node: node.store.uucp.jobs.add(jobs))

    def jobs(self) -> list[Job]:
        """What waits or is held."""
        found: list[Job] = self.in_node(lambda node: node.store.uucp.jobs.find())
        return found

    def executions(self, *, finished: bool = True) -> list[Execution]:
        """What neighbours want or wanted to be run."""
        found: list[Execution] = self.in_node(
            lambda node: node.store.uucp.executions.find(finished=finished)
        )
        return found

    def sessions(self) -> list[SessionRecord]:
        """All sessions, the latest first."""
        found: list[SessionRecord] = self.in_node(
            lambda node: node.store.uucp.neighbours.sessions()
        )
        return found

    def wait_for_idle(self, sessions: int | None = None) -> None:
        """Until no session is under way and nothing is left to be run; `sessions`: there were so
        many."""

        async def is_idle(node: Node) -> bool:
            known = (await node.store.uucp.neighbours.statuses()).values()
            ended = await node.store.uucp.neighbours.sessions()
            waiting = await node.store.uucp.executions.find()
            busy = any(one.is_in_session for one in known) or any(
                not one.is_missing for one in waiting
            )
            return not busy and (sessions is None or len(ended) >= sessions)

        async def wait() -> bool:
            node = self.open()
            try:
                end = time.monotonic() + _END_SECONDS
                while time.monotonic() < end:
                    if await is_idle(node):
                        return True
                    await asyncio.sleep(0.02)
                return False
            finally:
                await node.close()

        assert asyncio.run(wait()), f"{self.folder.name} is still at work"

    # --- files

    @property
    def public(self) -> Path:
        """The public folder."""
        return self.folder / "spool" / "uucppublic"

    def offer(self, name: str, content: bytes) -> None:
        """A file that neighbours may fetch."""
        self.public.mkdir(parents=True, exist_ok=True)
        (self.public / name).write_bytes(content)
        (self.public / name).chmod(0o644)

    def sends(self, neighbour: str, content: bytes, name: str) -> NewJob:
        """A job: a file to the neighbour's public folder."""
        file = self.folder / "out" / name
        file.write_bytes(content)
        file.chmod(0o644)
        return _job(neighbour, JobKind.SEND, source=str(file), target=f"~/{name}")

    # --- calls

    def program(self, *words: str) -> Path:
        """A program of one word that runs `relaynode WORDS`, whatever the environment."""
        path = self.folder / "-".join(words)
        known = {key: self.environment[key] for key in ("RELAYNODE_CONFIG", "PYTHONPATH")}
        made = [f"export {key}={shlex.quote(value)}\n" for key, value in known.items()]
        command = shlex.join(self.command(*words))
        path.write_text(f"#!/bin/sh\n{''.join(made)}exec {command}\n")
        path.chmod(0o755)
        return path

    def give_away(self) -> None:
        """From now on its commands run as an ordinary user, as whom Taylor's run too."""
        if os.geteuid() != 0:
            return
        self._as_user = as_user()
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, USER, USER)

    def command(self, *words: str) -> list[str]:
        """See TestNode."""
        python = python_for_all() if self._as_user else sys.executable
        return [python, "-m", "relaynode", *words]

    @property
    def as_user(self) -> dict[str, Any]:
        """As whom its commands run, for subprocess."""
        return self._as_user

    @property
    def environment(self) -> dict[str, str]:
        """See TestNode."""
        made = super().environment
        if self._as_user:
            made["PYTHONPATH"] = ":".join((made["PYTHONPATH"], sysconfig.get_path("purelib")))
        return made

    def run(self, *words: str, stdin: bytes = b"", **more: Any) -> Any:
        """See TestNode."""
        return super().run(*words, stdin=stdin, **self._as_user, **more)

    def replace(self, old: str, new: str) -> None:
        """Change the text of the configuration."""
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))

    def call(self, neighbour: str, *, code: int = 0) -> str:
        """Call, and give what is logged of it."""
        ended = self.run("call", neighbour, "--verbose")
        assert ended.returncode == code, ended.stderr
        return str(ended.stderr)


def python_for_all() -> str:
    """A Python as ours that every user may run: ours may be root's own."""
    ours = Path(sys.executable).resolve()
    if all(folder.stat().st_mode & 0o001 for folder in ours.parents):
        return sys.executable
    for folder in ("/usr/bin", "/usr/local/bin"):
        found = Path(folder, f"python{sys.version_info.major}.{sys.version_info.minor}")
        if found.is_file():
            return str(found)
    return leave_out(f"users other than root cannot run {ours}")


def fetches(neighbour: str, source: str, name: str) -> NewJob:
    """A job: a file of the neighbour's public folder into ours."""
    return _job(neighbour, JobKind.FETCH, source=f"~/{source}", target=f"~/{name}")


def executes(neighbour: str, command: str, content: bytes) -> NewJob:
    """A job: a command at the neighbour's, with its input."""
    return _job(neighbour, JobKind.EXECUTE, command=command, content=Content.of(content))


def _job(neighbour: str, kind: JobKind, **more: Any) -> NewJob:
    return NewJob(new_queue_id(), neighbour, kind, "root", time.time(), **more)
