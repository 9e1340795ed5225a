"""Taylor UUCP respects our lock files, and we respect its own."""

import subprocess
import threading

import pytest

from peers.folders import leave_home, make_home
from peers.processes import PeerFailed, wait_until
from peers.taylor import Taylor
from relaynode.errors import BusyError
from relaynode.wire.uucp_lock import UucpLock, owner_of, system_lock


@pytest.fixture
def systems(tmp_path):
    home = make_home("uucp")
    alpha = Taylor(home / "alpha", "alpha", ["beta"])
    beta = Taylor(home / "beta", "beta", ["alpha"])
    yield alpha, beta
    leave_home(home, tmp_path / "uucp", ())


def test_taylor_does_not_call_a_system_that_we_have_locked(systems):
    alpha, beta = systems
    lock = UucpLock(alpha.folder / "locks", system_lock("beta"))
    with lock, pytest.raises(PeerFailed, match="already locked"):
        alpha.call(beta)
    alpha.call(beta)


def test_taylor_takes_a_stale_lock_of_ours_away(systems):
    alpha, beta = systems
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock = UucpLock(alpha.folder / "locks", system_lock("beta"), process=ended.pid)
    lock.take()
    alpha.call(beta)
    assert not lock.path.exists()


def test_we_respect_the_lock_that_taylor_holds_during_a_call(systems):
    """The called side is a program that waits until we have looked."""
    alpha, beta = systems
    uucico = beta.folder / "bin" / "uucico"
    uucico.unlink()
    looked = beta.folder / "log" / "looked"
    uucico.write_text(f"#!/bin/sh\nuntil test -e {looked}; do sleep 0.05; done\n")
    uucico.chmod(0o755)
    failed = []

    def call():
        try:
            alpha.call(beta)
        except PeerFailed as error:
            failed.append(error)

    lock = UucpLock(alpha.folder / "locks", system_lock("beta"))
    calling = threading.Thread(target=call)
    calling.start()
    try:
        assert wait_until(lambda: lock.path.exists() and owner_of(lock.path.read_bytes()), 20)
        with pytest.raises(BusyError):
            lock.take()
    finally:
        looked.touch()
        calling.join(60)
    assert failed
    with lock:
        pass
