"""Calls over modems: our dialling and Taylor's, to each other's answering program on a pty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peers.folders import leave_home, make_home
from peers.joined_modems import JoinedModems
from peers.processes import wait_until
from peers.taylor import as_user
from uucp_site import LOGIN, TAYLORS_USER, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = 'login = "Ualpha"\npassword_file = "pw"\nprotocols = "i"\n'
MODEM = r"""
[modem.usb]
device = "{device}"
speed = 57600
hardflow = false
carrier = false
attempts = 1
complete = '"" \p+++\p\c "" ATH0 OK'
abort = '"" ATH0 OK'
"""
TAYLORS_PORT = r"""
phone 111
port type modem
port device {device}
port speed 57600
port carrier false
port hardflow false
port dialer chat "" ATZ OK ATDT\T CONNECT
port dialer chat-timeout 20
port dialer chat-fail BUSY
port dialer complete-chat "" \p+++\p\c "" ATH0 OK
port dialer abort-chat "" ATH0 OK
alternate
phone 222
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = make_home("uucp")
    yield folder
    leave_home(folder, tmp_path / "uucp", ())


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("LCK.."))


def test_we_dial_and_when_it_is_busy_the_second_number_leads_to_taylor(home):
    uucico = [home / "beta/bin/uucico", "-I", home / "beta/config", "-l"]
    during = []
    modems = JoinedModems(
        {"111": ["BUSY"], "222": ["CONNECT 57600"]},
        uucico,
        as_user=as_user(),
        on_call=lambda: during.append(locks(home / "alpha/locks")),
    )
    with modems:
        ways = '["modem:usb,111", "modem:usb,222"]'
        site = Site(home, "modem:usb,111", keys=KEYS, more=MODEM.format(device=modems.device))
        site.alpha.replace("['modem:usb,111']", ways)
        site.beta.speak("i")
        site.fill()
        log = site.alpha.call("beta")
        modems.wait()
    site.check()
    site.check_record("i", is_caller=True)
    assert "beta - ERROR: usb, 111: " in log
    assert "BUSY" in log
    assert "beta - Calling system beta (modem:usb,222)" in log
    assert "beta - Login successful" in log
    assert modems.heard[-1] == "ATH0"
    assert [command for command in modems.heard if "D" in command] == ["ATDT111", "ATDT222"]
    name = modems.device.rpartition("/")[2]
    assert during == [[f"LCK..{name}"]]
    assert locks(home / "alpha/locks") == []


def test_taylor_dials_and_its_alternate_number_leads_to_our_answer(home):
    site = Site(home, keys='called_login = "Ubeta"\ncalled_password_file = "pw"\n')
    site.fill()
    during = []
    modems = JoinedModems(
        {"111": ["BUSY"], "222": ["CONNECT 57600"]},
        [site.alpha.program("answer", "--login-prompt")],
        user=TAYLORS_USER,
        on_call=lambda: during.append(locks(home / "beta/locks")),
    )
    with modems:
        way = TAYLORS_PORT.format(device=modems.device)
        site.beta.speak("i", f"{LOGIN}\nchat-timeout 20", way=way)
        site.beta.begin_call()  # it goes on in the background
        # It tells the modem to hang up after it has noted the end.
        assert wait_until(lambda: during and not locks(home / "beta/locks"), 60), site.beta.log()
        site.alpha.wait_for_idle(1)
        modems.wait()
    assert "BUSY" in site.beta.log()
    assert [command for command in modems.heard if "D" in command] == ["ATDT111", "ATDT222"]
    name = modems.device.rpartition("/")[2]
    assert during == [[f"LCK..{name}", "LCK..alpha"]]
    site.check(allowing="BUSY")
    site.check_record("i", is_caller=False)


def test_when_all_numbers_are_busy_the_work_stays(home):
    with JoinedModems({"111": ["BUSY"]}, ["false"]) as modems:
        site = Site(home, "modem:usb,111", keys=KEYS, more=MODEM.format(device=modems.device))
        site.fill()
        log = site.alpha.call("beta", code=75)
    assert "BUSY" in log
    assert len(site.alpha.jobs()) == 9
    assert locks(home / "alpha/locks") == []
