import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from relaynode.queue.free_room import LOOK_SECONDS, PLENTY_BYTES, FreeRoom


class Disk:
    """A disk whose free bytes are told, and how often it was asked for them."""

    def __init__(self, monkeypatch, free_bytes):
        self.free_bytes = free_bytes
        self.now = 100.0
        self.looks = 0
        monkeypatch.setattr(os, "statvfs", self._statvfs)
        self.room = FreeRoom(Path("spool"), lambda: self.now)

    def _statvfs(self, folder):
        self.looks += 1
        return SimpleNamespace(f_bavail=self.free_bytes // 512, f_frsize=512)


def test_a_disk_with_plenty_is_not_asked_for_each_message(monkeypatch):
    disk = Disk(monkeypatch, 2 * PLENTY_BYTES)
    assert all(disk.room.has(4096) for _ in range(100))
    assert disk.looks == 1


def test_it_is_asked_again_in_time(monkeypatch):
    disk = Disk(monkeypatch, 2 * PLENTY_BYTES)
    assert disk.room.has(4096)
    disk.free_bytes = 0
    disk.now += LOOK_SECONDS
    assert not disk.room.has(4096)


def test_where_there_is_little_more_than_is_wanted_each_message_looks(monkeypatch):
    disk = Disk(monkeypatch, PLENTY_BYTES)
    assert disk.room.has(4096)
    disk.free_bytes = 4095
    assert not disk.room.has(4096)
    disk.free_bytes = 4096
    assert disk.room.has(4096)


def test_plenty_for_one_is_not_plenty_for_a_larger_one(monkeypatch):
    disk = Disk(monkeypatch, PLENTY_BYTES + 4096)
    assert disk.room.has(4096)
    disk.free_bytes = 0
    assert not disk.room.has(8192)


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(OSError):
        FreeRoom(tmp_path / "absent").has(1)
