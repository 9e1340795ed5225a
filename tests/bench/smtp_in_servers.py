"""The servers that bench_smtp_in compares: each takes mail for everywhere, and keeps it queued.

That is what a node does while its line is down: mail is accepted durably, and nothing of it leaves.
The peers are told to queue in their own words, each as it is documented for dial-up use, and are
else as their packages come.
"""

import os
from pathlib import Path

from nodes import TestNode
from peers import folders
from peers.exim import Exim
from peers.opensmtpd import OpenSmtpd
from peers.postfix import Postfix
from peers.processes import free_port
from peers.sendmail_server import SendmailServer

_TICKS = os.sysconf("SC_CLK_TCK")


class Ours:
    """`relaynode serve`; the only link is down."""

    name = "relaynode"

    def __enter__(self):
        self.home = folders.make_home("bench")
        self.port = free_port()
        node = TestNode(
            self.home / "node",
            '[link.isp]\nkind = "event"\n[smart_host.isp]\nhost = "127.0.0.1"\nlink = "isp"\n'
            f'[listen.lan]\nsmtp = ["127.0.0.1:{self.port}"]\nnetworks = ["127.0.0.0/8"]\n',
            node_keys='smart_host = "isp"',
        )
        self._daemon = node.daemon()
        self._daemon.start()
        return self

    @property
    def pid(self):
        return self._daemon.process.pid

    def __exit__(self, *_):
        self._daemon.stop()
        folders.leave_home(self.home, None, drop=())


class QueuingPostfix(Postfix):
    def __init__(self):
        super().__init__(
            extra={
                "virtual_mailbox_domains": "",
                "default_transport": "smtp:[127.0.0.1]:9",
                "relayhost": "[127.0.0.1]:9",
                "defer_transports": "smtp",
            }
        )

    @property
    def pid(self):
        return self._process.pid


class QueuingExim(Exim):
    def _prepare(self):
        command = super()._prepare()
        path = self.home / "exim.conf"
        path.write_text("queue_only = true\n" + path.read_text())
        return command

    @property
    def pid(self):
        return self._process.pid


class QueuingOpenSmtpd(OpenSmtpd):
    def _prepare(self):
        command = super()._prepare()
        path = self.home / "smtpd.conf"
        lines = [line for line in path.read_text().splitlines() if not line.startswith("action")]
        lines.insert(-1, 'action keep relay host "smtp://127.0.0.1:9"')
        path.write_text("\n".join(["smtp limit max-mails 100000", *lines]) + "\n")
        return command

    @property
    def pid(self):
        return self._process.pid


class QueuingSendmail(SendmailServer):
    def _prepare(self):
        return [*super()._prepare(), "-ODeliveryMode=queueonly"]

    @property
    def pid(self):
        return self._process.pid


SERVERS = {
    "relaynode": Ours,
    "Postfix": QueuingPostfix,
    "Exim": QueuingExim,
    "sendmail": QueuingSendmail,
    "OpenSMTPD": QueuingOpenSmtpd,
}


def processor_seconds(pid):
    """Of a process and all below it, those that have ended included."""
    total = 0
    for one in _tree(pid):
        numbers = _stat(one)
        total += sum(map(int, numbers[11:15])) if numbers else 0  # own and ended children's
    return total / _TICKS


def memory_bytes(pid):
    """What a process and all below it have for themselves in memory (PSS)."""
    total = 0
    for one in _tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        line = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0")
        total += int(line.split()[1]) * 1024
    return total


def _tree(pid):
    children = {}
    for path in Path("/proc").glob("[0-9]*"):
        if numbers := _stat(path.name):
            children.setdefault(int(numbers[1]), []).append(int(path.name))
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left += children.get(one, [])
    return found


def _stat(pid):
    """The fields behind the name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
