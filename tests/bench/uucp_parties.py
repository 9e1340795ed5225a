"""The parties of the UUCP bench: a relaynode and a Taylor UUCP that do the same things.

Each has files or mail to send, is called on a port of loopback with a login, calls, and says what
it has got and what processor time it took.
"""

import asyncio
import getpass
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

from nodes import TestNode
from peers.found import require
from peers.taylor import USER, Taylor
from relaynode.queue.content import Content
from relaynode.queue.ids import new_queue_id
from relaynode.queue.uucp.model import JobKind, NewJob
from relaynode.sources.sendmail_options import SendmailOptions
from relaynode.sources.submit import Submitter, submit

LOGIN, PASSWORD = "Ubench", "secret"
SENDER = "ann@alpha.example"
_TICKS = os.sysconf("SC_CLK_TCK")


class OurParty:
    """A relaynode. When called it is a daemon; when calling, `relaynode call`."""

    def __init__(self, folder, name, peer, protocol, tables=None):
        self._folder, self._name, self._peer, self._protocol = folder, name, peer, protocol
        self._tables = tables
        self._node = None
        self._daemon = None
        self._spent_before = 0.0

    def _make(self, keys, listen=""):
        self._node = TestNode(
            self._folder,
            f'[uucp]\nnodename = "{self._name}"\n[neighbour.{self._peer}]\n'
            f'protocols = "{self._protocol}"\n{keys}{listen}',
            tables=self._tables,
        )
        self._node.password("pw", PASSWORD)

    def be_called(self, port):
        """Answer there until `end`."""
        self._make(
            f'called_login = "{LOGIN}"\ncalled_password_file = "pw"\n',
            f'[listen.x]\nuucp = ["127.0.0.1:{port}"]\n',
        )
        self._daemon = self._node.daemon()
        self._daemon.start()
        self._spent_before = _processor_seconds(self._daemon.process.pid)

    def will_call(self, port, *, knows_it=False):
        """Call there. `knows_it`: the other is a relaynode, so the login need not wait to be
        asked for."""
        chat = "chat = '\"\" \\L\\r\\P'\n" if knows_it else ""
        self._make(
            f'call = ["tcp:127.0.0.1:{port}"]\nlogin = "{LOGIN}"\npassword_file = "pw"\n{chat}'
        )

    def queue(self, contents):
        """Files to be sent to the other."""

        async def work():
            node = self._node.open()
            jobs = [
                NewJob(
                    new_queue_id(),
                    self._peer,
                    JobKind.SEND,
                    getpass.getuser(),
                    time.time(),
                    source=f"/tmp/file{number}",
                    target=f"~/file{number}",
                    options="C",
                    content=Content.of(content),
                )
                for number, content in enumerate(contents)
            ]
            await node.store.uucp.jobs.add(jobs)
            await node.close()

        asyncio.run(work())

    def call(self):
        """Call once; seconds of processor time."""
        command = self._node.command("call", self._peer)
        return _timed(command, env=self._node.environment)

    @property
    def public(self):
        return self._node.folder / "spool" / "uucppublic"

    def end(self):
        """Answer no more; the seconds of processor time that answering took."""
        spent = _processor_seconds(self._daemon.process.pid) - self._spent_before
        self._daemon.stop()
        return spent


class OurMailParty(OurParty):
    """Its mail for the other goes into its queue, and what comes stays there: it is for somebody
    behind a link that is down. `batch`: the command that takes batches, "" for rmail."""

    def __init__(self, folder, name, peer, protocol, batch=""):
        table = f"{peer}.example uucp-dom:{peer}\n. smtp:[127.0.0.1]\n"
        super().__init__(folder, name, peer, protocol, {"mailertable": table})
        self._batch = batch

    def _make(self, keys, listen=""):
        command = self._batch or "rmail"
        batch = f'batch = "{self._batch}"\n' if self._batch else ""
        links = '[link.default]\nkind = "event"\n'
        super()._make(f'{keys}{batch}commands = ["{command}"]\n', listen + links)

    def queue_mail(self, mails, recipient):
        """Mails for one recipient."""

        async def pieces(mail):
            yield mail

        async def work():
            node = self._node.open()
            options = SendmailOptions(recipients=[recipient], ignores_dots=True, sender=SENDER)
            ended = await asyncio.gather(
                *(
                    submit(node.intake, options, Submitter("root"), pieces(mail), "x")
                    for mail in mails
                )
            )
            await node.close()
            assert not any(one.exit_code for one in ended)

        asyncio.run(work())

    def _rows(self, columns):
        path = self._folder / "spool" / "queue.db"
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return connection.execute(f"SELECT {columns} FROM message").fetchall()
        finally:
            connection.close()

    def mail_count(self):
        """How many mails are in its queue."""
        ((count,),) = self._rows("count(*)")
        return count

    def take(self):
        """Do what has come: it is done as it comes."""

    def bodies(self):
        """The bodies of the mails in its queue, LF line ends."""
        contents = [content for (content,) in self._rows("content")]
        return [one.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n") for one in contents]


_SYSTEM = """\
commands rmail
command-path {folder}/commands
remote-send {folder}/public
remote-receive {folder}/public
local-send /
system {peer}
time any
chat ogin: \\L word: \\P
call-login {login}
call-password {password}
protocol {protocol}
address 127.0.0.1
port type tcp
port service {port}
"""


class TaylorParty(Taylor):
    """A Taylor UUCP with its own defaults. When called it is started for each connection, as by
    inetd."""

    def __init__(self, folder, name, peer, protocol):
        super().__init__(folder, name, [])
        self._peer, self._protocol = peer, protocol
        shutil.copyfile(require("uucp").program("uucp"), folder / "bin" / "uucp")
        (folder / "bin" / "uucp").chmod(0o755)
        (folder / "outbox").mkdir()
        (folder / "outbox").chmod(0o777)
        (folder / "passwd").write_text(f"{LOGIN} {PASSWORD}\n")
        config = (folder / "config").read_text()
        (folder / "config").write_text(
            config.replace(f"passwdfile {folder}/empty", f"passwdfile {folder}/passwd")
        )
        self._inetd = None

    def be_called(self, port):
        self.will_call(540)
        self._inetd = _Inetd(port, self._command("uucico", "-l"), self._after_calls)

    @property
    def _after_calls(self):
        """What is run when a call is over; nothing."""
        return None

    def will_call(self, port, **_):
        (self.folder / "sys").write_text(
            _SYSTEM.format(
                folder=self.folder,
                peer=self._peer,
                protocol=self._protocol,
                port=port,
                login=LOGIN,
                password=PASSWORD,
            )
        )

    def queue(self, contents):
        for number, content in enumerate(contents):
            path = self.folder / "outbox" / f"file{number}"
            path.write_bytes(content)
            path.chmod(0o644)
            subprocess.run(
                self._command("uucp", "-r", "-C", str(path), f"{self._peer}!~/{path.name}"),
                **_as_user(),
                cwd="/",
                check=True,
                timeout=60,
            )

    def call(self):
        return _timed(self._command("uucico", "-D", "-S", self._peer), cwd="/", **_as_user())

    @property
    def public(self):
        return self.folder / "public"

    def end(self):
        return self._inetd.end()

    def _command(self, program, *arguments):
        return [str(self.folder / "bin" / program), "-I", str(self.folder / "config"), *arguments]


_RMAIL = """\
#!/bin/sh
exec /bin/cat >{folder}/mail/$$
"""


class TaylorMailParty(TaylorParty):
    """Its mail is queued by uux; its rmail is a shell that becomes cat and keeps what it is given.
    `executes`: uuxqt runs as soon as a call is over, as it does where nobody told it not to."""

    def __init__(self, folder, name, peer, protocol, *, executes=False):
        super().__init__(folder, name, peer, protocol)
        self._executes = executes
        (folder / "commands" / "rmail").write_text(_RMAIL.format(folder=folder))

    @property
    def _after_calls(self):
        return self._command("uuxqt") if self._executes else None

    def queue_mail(self, mails, recipient):
        to = (f"{self._peer}!rmail", f"({recipient})")  # as sendmail calls it
        for mail in mails:
            subprocess.run(
                self._command("uux", "-", "-r", f"-a{SENDER}", "-gC", *to),
                **_as_user(),
                cwd="/",
                input=mail,
                check=True,
                timeout=60,
            )

    def mail_count(self):
        return len(list((self.folder / "mail").iterdir()))

    def take(self):
        if not self._executes:
            _timed(self._command("uuxqt"), cwd="/", **_as_user())

    def bodies(self):
        contents = [path.read_bytes() for path in (self.folder / "mail").iterdir()]
        return [one.partition(b"\n\n")[2] for one in contents]


class _Inetd:
    """Starts a program for each connection, one after the other, with the connection as its
    standard input and output, and `after` when that is over."""

    def __init__(self, port, command, after=None):
        self._server = socket.create_server(("127.0.0.1", port))
        self._command = command
        self._after = after
        self._spent = 0.0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self._spent += _timed(
                    self._command, stdin=connection, stdout=connection, cwd="/", **_as_user()
                )
            if self._after is not None:
                self._spent += _timed(self._after, cwd="/", **_as_user())

    def end(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(30)
        return self._spent


def _timed(command, *, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more):
    """Run it to its end; seconds of processor time that it took."""
    process = subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, **more
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _processor_seconds(pid):
    """Of a running process, in steps of a clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _as_user():
    if os.geteuid() != 0:
        return {}
    return {"user": USER, "group": USER, "extra_groups": []}
