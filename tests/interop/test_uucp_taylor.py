"""Whole nodes and real Taylor UUCP: `relaynode call`, `relaynode answer` and the daemon."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from peers.uucp_lines import Inetd, Passage
from uucp_node import fetches
from uucp_site import LOGIN, TAYLORS_USER, Calls, Site, content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROTOCOLS = "igGtefy"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def check_log(log: str, protocol: str) -> None:
    """A log has each event, with who asked for it."""
    assert f"beta - Handshake successful (protocol '{protocol}')" in log
    assert re.search(r"^(?:.* )?beta root Sending \S+sent1048576 \(.*1048576 bytes", log, re.M)
    assert re.search(r"^(?:.* )?beta \w+ Receiving \S*came1048576 \(1048576 bytes\)", log, re.M)
    assert re.search(r"^(?:.* )?beta \w+ Receiving rmail dave eve \(4096 bytes\)", log, re.M), log
    assert re.search(r"beta - Call complete \(\d+ seconds \d+ bytes \d+ bps\)", log)
    assert "ERROR" not in log


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_we_log_in_at_taylor_and_all_work_is_done_in_one_call(home, protocol):
    uucico = [home / "beta/bin/uucico", "-I", home / "beta/config", "-l"]
    with Inetd(uucico) as inetd:
        site = Site(
            home,
            f"tcp:127.0.0.1:{inetd.port}",
            keys=f'login = "Ualpha"\npassword_file = "pw"\nprotocols = "{protocol}"\n',
        )
        site.beta.speak(protocol)
        site.fill()
        log = site.alpha.call("beta")
        inetd.wait()
    site.check()
    site.check_record(protocol, is_caller=True)
    assert "beta - Login successful" in log
    check_log(log, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_taylor_logs_in_at_our_daemon_and_all_work_is_done_in_one_call(home, protocol):
    site = Site(
        home,
        listens=True,
        keys=f'called_login = "Ubeta"\ncalled_password_file = "pw"\nprotocols = "{protocol}"\n',
    )
    site.beta.speak(protocol, LOGIN, site.port)
    site.fill()
    with site.alpha.daemon() as daemon:
        assert site.beta.begin_call().wait(60) == 0, site.beta.log()
        site.alpha.wait_for_idle(1)
        site.check()
        log = daemon.log()
    site.check_record(protocol, is_caller=False)
    assert "- - Incoming call (login - port [127.0.0.1])" in log
    check_log(log, protocol)


# --- pipes


def test_taylor_calls_our_answer_through_a_pipe(home):
    site = Site(home, keys=f'called_login = "{TAYLORS_USER}"\n')
    site.fill()
    site.alpha.give_away()
    site.beta.speak("i", way=f"port type pipe\nport command {site.alpha.program('answer')}")
    assert site.beta.begin_call().wait(60) == 0, site.beta.log()
    site.alpha.wait_for_idle(1)
    site.check()
    site.check_record("i", is_caller=False)


def test_we_call_taylors_uucico_through_a_pipe(home):
    uucico = f"{home}/beta/bin/uucico -I {home}/beta/config"
    site = Site(home, f"pipe:{uucico}", keys='protocols = "i"\n')
    site.beta.speak("i")
    site.fill()
    site.alpha.give_away()
    log = site.alpha.call("beta")
    site.check()
    site.check_record("i", is_caller=True)
    check_log(log, "i")


# --- much at a time

MANY = 30
MANY_BYTES = 20_000


WAYS = pytest.mark.parametrize("way", [Calls.ours, Calls.theirs], ids=["we-call", "taylor-calls"])


@WAYS
def test_with_i_files_go_both_ways_at_the_same_time(home, way):
    calls = Calls(home, "i")
    alpha, beta = calls.site.alpha, calls.site.beta
    alpha.queue(
        *(alpha.sends("beta", content(MANY_BYTES, n), f"ours{n}") for n in range(MANY)),
    )
    for number in range(MANY):
        beta.queue_file(content(MANY_BYTES, 100 + number), f"~/theirs{number}", f"out{number}")
    log, passage = way(calls)
    for number in range(MANY):
        assert beta.public(f"ours{number}") == content(MANY_BYTES, number)
        theirs = (alpha.public / f"theirs{number}").read_bytes()
        assert theirs == content(MANY_BYTES, 100 + number)
    lines = re.findall(r"beta \S+ (Sending|Receiving|sent|received) .*", log)
    sent = [place for place, word in enumerate(lines) if word == "sent"]
    received = [place for place, word in enumerate(lines) if word == "received"]
    assert len(sent) == len(received) == MANY
    middle = range(sent[MANY // 4], sent[3 * MANY // 4])
    assert len([place for place in received if place in middle]) >= MANY // 10, log
    # And on the line itself: while the middle half of ours went, theirs came.
    assert _share_in_the_middle_half(passage, "caller", "called") > 0.2
    assert _share_in_the_middle_half(passage, "called", "caller") > 0.2


def _share_in_the_middle_half(passage: Passage, one: str, other: str) -> float:
    """Of what `other` said, how much while the middle half of what `one` says went by."""
    total, gone, meanwhile = passage.size_bytes(one), 0, 0
    for speaker, data in passage.pieces:
        if speaker == one:
            gone += len(data)
        elif total / 4 < gone < 3 * total / 4:
            meanwhile += len(data)
    return meanwhile / passage.size_bytes(other)


G_LIMIT_BYTES = 16384
"""Of packets in flight Taylor's buffer holds no more, whatever window it offers."""


@WAYS
def test_g_has_seven_packets_of_4096_bytes_but_not_more_than_taylor_can_hold(home, way):
    taylors = "protocol-parameter g window 7\nprotocol-parameter g packet-size 4096"
    keys = 'parameters = ["g window 7", "g packet-size 4096"]\n'
    calls = Calls(home, "g", keys, taylors)
    alpha, beta = calls.site.alpha, calls.site.beta
    file = content(1 << 20, 7)
    alpha.queue(alpha.sends("beta", file, "sent"), fetches("beta", "theirs", "got"))
    beta.put_public("theirs", content(1 << 20, 8))
    _, passage = way(calls)
    assert beta.public("sent") == file
    assert (alpha.public / "got").read_bytes() == content(1 << 20, 8)
    # What it may send us we bound by the window: it has one buffer for both.
    assert "(protocol 'g' sending packet/window 4096/3 receiving 4096/7)" in beta.log()
    us = "caller" if way is Calls.ours else "called"
    sizes, most = _in_flight(passage, us)
    assert max(sizes) == 4096
    assert 4096 < most <= G_LIMIT_BYTES


def _in_flight(passage: Passage, speaker: str) -> tuple[set[int], int]:
    """The sizes of the packets that a side sent, and how many bytes of them went at most unheard.

    DLE k checksum(2) control xor: k 1 to 8 are data of 32 << k - 1 bytes, control 10sssaaa or
    11sssaaa; k 9 has no data, and is 00tttaaa: t 4 acknowledges up to a, t 2 too.
    """
    parts = {"caller": b"", "called": b""}
    unheard: dict[int, int] = {}
    sizes, most = {0}, 0
    for who, data in passage.pieces:
        parts[who] += data
        while packet := re.search(rb"\x10([\x01-\x09])(..)(.)(.)", parts[who], re.DOTALL):
            kind, control = packet[1][0], packet[3][0]
            if kind ^ packet[2][0] ^ packet[2][1] ^ control != packet[4][0]:
                parts[who] = parts[who][packet.start() + 1 :]  # not the head of a packet
                continue
            size = 0 if kind == 9 else 32 << kind - 1
            if len(parts[who]) < packet.end() + size:
                break
            parts[who] = parts[who][packet.end() + size :]
            number, heard = control >> 3 & 7, control & 7
            if who == speaker and size:
                unheard[number] = size
                sizes.add(size)
                most = max(most, sum(unheard.values()))
            elif who != speaker and (size or number in (2, 4)):
                while unheard and heard in unheard:
                    del unheard[heard]
                    heard = (heard - 1) % 8
    return sizes, most
