"""No 250 before the disk has the mail: the daemon's system calls, in their order."""

import re
import smtplib

import pytest

from nodes import TestNode
from peers.found import require
from peers.processes import Process, free_port, wait_until
from relaynode.queue.content import INLINE_BYTES

LETTER = b"Subject: x\r\n\r\n" + b"0123456789abcdef" * 4 + b"\r\n"
_CALL = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)")


class Traced:
    """A daemon whose calls are written down."""

    def __init__(self, folder):
        self.port = free_port()
        self.node = TestNode(
            folder / "node",
            f'[listen.lan]\nsmtp = ["127.0.0.1:{self.port}"]\nnetworks = ["127.0.0.0/8"]\n',
        )
        self._calls = folder / "calls"

    def __enter__(self):
        found = require("strace")
        # With the paths of descriptors, in all threads, strings of this length.
        options = ["-f", "-y", "-s", "100", "-e", "trace=fsync,fdatasync,sendto,recvfrom"]
        log = self.node.folder / "daemon.log"
        self._process = Process(
            [found.program("strace"), *options, "-o", self._calls, *self.node.command("serve")],
            log=log,
            environment=found.environment | self.node.environment,
        )
        assert wait_until(lambda: log.exists() and "ready on" in log.read_text(), 30)
        return self

    def __exit__(self, *_):
        self._process.stop()

    def calls(self):
        """When each began and ended, by the line of the trace: (name, words, began, ended)."""
        open_calls, found = {}, []
        for number, line in enumerate(self._calls.read_text().splitlines()):
            match = _CALL.match(line)
            if match is None:
                continue
            thread, name, rest = match.groups()
            words, began = open_calls.pop(thread, ("", number))
            if rest.endswith("<unfinished ...>"):
                open_calls[thread] = rest, began
            else:
                found.append((name, words + rest, began, number))
        return found


def synced_between(calls, start, end):
    """The files and folders that were on the disk by then."""
    return [
        re.search(r"<(.*?)>", words)[1]
        for name, words, _, ended in calls
        if name in ("fsync", "fdatasync") and start < ended < end and words.endswith("= 0")
    ]


@pytest.mark.parametrize("size", ["in its row", "in a file"])
def test_what_is_answered_with_250_is_on_the_disk(tmp_path, size):
    letter = LETTER + (
        b"" if size == "in its row" else (b"x" * 70 + b"\r\n") * (INLINE_BYTES // 72)
    )
    with Traced(tmp_path) as traced, smtplib.SMTP("127.0.0.1", traced.port, timeout=30) as client:
        client.sendmail("a@b.example", ["user"], letter)
        client.quit()
    calls = traced.calls()
    (answered,) = [
        began for name, words, began, _ in calls if name == "sendto" and "Message accepted" in words
    ]
    (asked,) = [ended for name, words, _, ended in calls if name == "sendto" and '"354 ' in words]
    synced = synced_between(calls, asked, answered)
    assert any(path.endswith("/queue.db-wal") for path in synced), synced
    if size == "in a file":
        spool = str(traced.node.folder / "spool")
        assert any(path.startswith(f"{spool}/incoming/") for path in synced), synced
        assert f"{spool}/content" in synced, synced
