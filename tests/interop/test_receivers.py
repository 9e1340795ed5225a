"""Receivers as processes: started for a crowd of clients, killed, and ended with their daemon."""

import os
import signal
import smtplib
from contextlib import ExitStack
from pathlib import Path

import pytest

from nodes import TestNode
from peers.processes import free_port, wait_until

SECTIONS = """
[listen.lan]
smtp = ["127.0.0.1:{port}"]
networks = ["127.0.0.0/8"]
[limits]
receivers = {receivers}
"""


class Gateway:
    def __init__(self, folder, receivers=1):
        self.port = free_port()
        self.node = TestNode(folder, SECTIONS.format(port=self.port, receivers=receivers))
        self.daemon = self.node.daemon()
        self._clients = ExitStack()

    def __enter__(self):
        self.daemon.start()
        return self

    def __exit__(self, *_):
        self._clients.close()
        self.daemon.stop()

    def clients(self, count):
        """So many, who have been greeted."""
        return [Client(self.port) for _ in range(count)]

    def crowd(self):
        """Clients of both processes."""
        clients = self.clients(6)
        assert wait_until(lambda: "receiver 1 of 1 is ready" in self.log(), 20)
        clients += self.clients(4)
        assert [connections(one, self.port) for one in self.receivers] == [4]
        return clients

    @property
    def receivers(self):
        """The processes' numbers."""
        return children(self.daemon.process.pid)

    def log(self):
        return (self.node.folder / "daemon.log").read_text()


class Client(smtplib.SMTP):
    def __init__(self, port):
        super().__init__("127.0.0.1", port, "client.example", timeout=30)

    def bring(self, number):
        """A mail; False if the connection was lost."""
        try:
            self.sendmail("a@home.example", ["user@bsd.home"], f"Subject: {number}\r\n\r\nbody\r\n")
        except (smtplib.SMTPServerDisconnected, ConnectionError):
            return False
        return True


def children(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in tasks for child in one.read_text().split()]


def connections(pid, port):
    """How many of its sockets are connected to that port of ours."""
    theirs = set()
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            theirs.add(str(descriptor.readlink()))
        except OSError:
            continue  # closed meanwhile
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(
        row[1].endswith(f":{port:04X}") and row[3] == "01" and f"socket:[{row[9]}]" in theirs
        for row in rows
    )


def subjects(node):
    return sorted(int(mail.partition(b"Subject: ")[2].split()[0]) for mail in node.mails("user"))


def has_ended(pid):
    return not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()


def test_a_killed_receiver_costs_only_what_was_not_answered(tmp_path):
    with Gateway(tmp_path) as gateway:
        clients = gateway.crowd()
        (receiver,) = gateway.receivers
        assert all(client.bring(number) for number, client in enumerate(clients))
        os.kill(receiver, signal.SIGKILL)
        assert wait_until(lambda: not gateway.receivers, 20)
        second = [client.bring(100 + number) for number, client in enumerate(clients)]
        assert not all(second)
        assert any(second)
        taken = [*range(len(clients)), *(100 + n for n, taken in enumerate(second) if taken)]
        assert wait_until(lambda: len(gateway.node.mails("user")) == len(taken), 20)
        assert subjects(gateway.node) == taken
        assert "a receiver has ended with exit code -9" in gateway.log()
        assert gateway.clients(1)[0].bring(1000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_receivers_end_with_their_daemon_and_what_they_took_is_there(tmp_path, number):
    with Gateway(tmp_path) as gateway:
        clients = gateway.crowd()
        (receiver,) = gateway.receivers
        assert all(client.bring(number) for number, client in enumerate(clients))
        os.kill(gateway.daemon.process.pid, number)
        assert wait_until(lambda: has_ended(receiver), 20)
        gateway.daemon.stop()
        gateway.daemon.start()
        assert wait_until(lambda: len(gateway.node.mails("user")) == len(clients), 20)
        assert subjects(gateway.node) == list(range(len(clients)))
    assert "Traceback" not in gateway.log()


def test_a_configuration_that_was_only_saved_is_not_mixed_with_the_one_in_force(tmp_path):
    with Gateway(tmp_path) as gateway:
        gateway.node.path.write_text(gateway.node.path.read_text() + "# changed\n")
        clients = gateway.clients(8)
        assert wait_until(lambda: "was changed; send SIGHUP" in gateway.log(), 20)
        assert all(client.bring(number) for number, client in enumerate(clients))
        os.kill(gateway.daemon.process.pid, signal.SIGHUP)
        assert wait_until(lambda: "configuration read again" in gateway.log(), 20)
        gateway.crowd()
