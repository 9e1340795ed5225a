"""The guard of a listener as the configuration wants it."""

import pytest

from nodes import TestNode
from relaynode.config.loader import load
from relaynode.errors import ConfigError
from relaynode.queue.free_room import FreeRoom
from relaynode.smtp.terms import Terms
from relaynode.sources.smtp_settings import Room, crowd_of, guard_of


async def nobody(event):
    raise AssertionError(event)


def guard_for(folder, sections=""):
    config = TestNode(folder, f'[listen.lan]\nsmtp = ["127.0.0.1:2525"]\n{sections}').config()
    return guard_of(config, config.file.listen["lan"], crowd_of(config), nobody)


def test_by_default_clients_are_bounded_and_strangers_told_little(tmp_path):
    guard = guard_for(tmp_path)
    assert guard.terms == Terms(takes_etrn=True, is_strict=True)
    assert guard.crowd.limits.connections_per_client == 50
    assert guard.command_seconds == 300.0
    assert guard.slowest_bytes_per_second == 100
    assert "127.0.0.1" not in guard.xclient_hosts.networks


def test_each_setting_has_its_place(tmp_path):
    guard = guard_for(
        tmp_path,
        'xclient_hosts = ["127.0.0.1"]\n'
        "[access]\nvrfy = true\nexpn = true\netrn = false\n"
        "[limits]\nconnections = 1\nconnections_per_client = 2\nconnections_per_minute = 3\n"
        "messages_per_minute = 4\nrecipients_per_minute = 5\nmessages_per_connection = 6\n"
        "recipients_per_message = 7\nwrong_commands = 8\nrefused_commands = 9\n"
        "idle_commands = 10\ncommand_seconds = 11\nslowest_bytes_per_second = 12\n"
        'greeting_delay_seconds = 13\npipelining = "lenient"\nexempt_networks = false\n',
    )
    assert guard.terms == Terms(
        max_recipients=7,
        max_messages=6,
        max_errors=8,
        max_refusals=9,
        max_idle_commands=10,
        verifies=True,
        expands=True,
        takes_xclient=True,
    )
    limits = guard.crowd.limits
    assert (limits.connections, limits.connections_per_client) == (1, 2)
    assert (limits.connections_per_minute, limits.messages_per_minute) == (3, 4)
    assert limits.recipients_per_minute == 5
    assert (guard.command_seconds, guard.slowest_bytes_per_second) == (11.0, 12)
    assert (guard.greeting_delay_seconds, guard.is_exempt_network) == (13.0, False)


@pytest.mark.parametrize(
    "wrong",
    ["connections = -1", "command_seconds = 0", 'pipelining = "no"', "wrong_commands = true"],
)
def test_a_wrong_limit_is_named_with_its_line(tmp_path, wrong):
    node = TestNode(tmp_path, f"[limits]\n{wrong}\n")
    line = node.path.read_text().splitlines().index(wrong) + 1
    with pytest.raises(ConfigError) as raised:
        load(node.path)
    assert f"{node.path}:{line}: limits.{wrong.split()[0]}" in str(raised.value)


def test_room_is_what_the_disk_has_beyond_what_mail_must_leave(tmp_path):
    assert Room(FreeRoom(tmp_path), 0).has(1)
    assert not Room(FreeRoom(tmp_path), 10**18).has(1)
    assert not Room(FreeRoom(tmp_path), 0).has(10**18)
    assert Room(FreeRoom(tmp_path / "absent"), 0).has(1)
