"""Leave given in a browser: what is asked, how often, and how it ends."""

from __future__ import annotations

import pytest

from nodes import TestNode
from peers.certificates import make_certificate
from peers.token_server import TokenServer
from relaynode.cli import auth
from relaynode.cli.main import main
from relaynode.errors import ConfigError, NoSecret
from relaynode.logins import device
from relaynode.logins.device import GRANT_TYPE, invite, wait
from relaynode.logins.token_server import Endpoint

BROKEN = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops"


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def endpoint(server, **more):
    return Endpoint("isp", server.url, "relaynode", timeout_seconds=5.0, **more)


def play(*verdicts, **more):
    clock = Clock()
    with TokenServer(verdicts=verdicts, **more) as server:
        where = endpoint(server)
        invitation = invite(where, server.device_url)
        try:
            return wait(where, invitation, clock=clock, sleep=clock.sleep), clock.slept
        except NoSecret as error:
            return str(error), clock.slept


def test_what_is_asked_for_and_what_people_are_told():
    with TokenServer(verdicts=("",), device={"interval": 1}) as server:
        where = endpoint(server, scope="mail offline_access", client_secret="c")
        invitation = invite(where, server.device_url)
        assert (invitation.url, invitation.user_code, invitation.whole_url) == (
            "https://login.example/device",
            "WDJB-MJHT",
            "",
        )
        assert invitation.lifetime_seconds == 900
        assert "device-0" not in repr(invitation)
        clock = Clock()
        granted = wait(where, invitation, clock=clock, sleep=clock.sleep)
        assert granted.refresh_token == "refresh-0"
        assert server.requests == [
            {"client_id": "relaynode", "scope": "mail offline_access"},
            {
                "grant_type": GRANT_TYPE,
                "device_code": "device-0",
                "client_id": "relaynode",
                "client_secret": "c",
            },
        ]


def test_it_asks_at_the_servers_pace_and_slower_when_told():
    granted, slept = play("authorization_pending", "slow_down", "authorization_pending", "")
    assert granted.refresh_token == "refresh-0"
    assert slept == [5, 5, 10, 10]


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("access_denied", "refused in the browser"),
        ("expired_token", "nobody said yes in time"),
        ("invalid_client", "invalid_client"),
    ],
)
def test_what_ends_it_is_told(verdict, told):
    error, slept = play("authorization_pending", verdict, "")
    assert told in error
    assert len(slept) == 2


def test_it_ends_when_the_code_does_whatever_the_server_says():
    error, slept = play(*["authorization_pending"] * 9, device={"expires_in": 21, "interval": 5})
    assert "nobody said yes in time" in error
    assert slept == [5] * 4


def test_a_server_in_trouble_is_asked_again_ever_more_rarely():
    granted, slept = play(BROKEN, BROKEN, "")
    assert granted.refresh_token == "refresh-0"
    assert slept == [5, 10, 20]
    error, _ = play(*[BROKEN] * 9, device={"expires_in": 100})
    assert "HTTP 502 and no JSON" in error


def test_tokens_without_a_refresh_token_are_no_use():
    error, _ = play("", refresh_token="")
    assert "offline_access" in error


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"user_code": "\x1b[2Jhello"}, "no user_code"),
        ({"verification_uri": None}, "no verification_uri"),
        ({"device_code": 5}, "no device_code"),
        ({"error": "unauthorized_client"}, "unauthorized_client"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_refused(answer, told):
    with TokenServer(device=answer) as server, pytest.raises(NoSecret, match=told):
        invite(endpoint(server), server.device_url)


@pytest.mark.parametrize("interval", [0, -5, "x", float("nan"), 10**9])
def test_whatever_the_interval_looks_like(interval):
    with TokenServer(device={"interval": interval}) as server:
        assert 1 <= invite(endpoint(server), server.device_url).interval_seconds <= 120


SECTIONS = """
[account.isp]
host = "pop.example.net"
user = "ann"
oauth = "o"
deliver_to = "user"

[oauth.o]
token_url = "{url}"
device_url = "{device_url}"
client_id = "relaynode"
refresh_token_file = "isp.token"
ca_file = "{authority}"
"""


def test_the_command_leaves_the_token_where_accounts_find_it(tmp_path, capsys, monkeypatch):
    certificate = make_certificate(tmp_path / "c")
    clock = Clock()
    monkeypatch.setattr(auth.time, "sleep", clock.sleep)
    with TokenServer(tls=certificate, verdicts=("authorization_pending", "")) as server:
        sections = SECTIONS.format(
            url=server.url, device_url=server.device_url, authority=certificate.authority
        )
        node = TestNode(tmp_path / "n", sections)
        with pytest.raises(ConfigError, match=r"isp\.token.*relaynode auth o gets one"):
            node.config()
        assert main(["--config", str(node.path), "auth", "isp"]) == 0
        told = capsys.readouterr().out
        assert "Open https://login.example/device and enter the code WDJB-MJHT" in told
        assert "refresh-0" not in told
    token = node.folder / "isp.token"
    assert token.read_text() == "refresh-0\n"
    assert token.stat().st_mode & 0o777 == 0o600
    node.config()  # and now it can be read
    assert clock.slept == [5, 5]


def test_a_folder_that_cannot_be_written_to_is_noticed_before_anybody_is_bothered(tmp_path, capsys):
    with TokenServer() as server:
        sections = SECTIONS.format(url=server.url, device_url=server.device_url, authority="")
        sections = sections.replace('ca_file = ""', "").replace("isp.token", "none/isp.token")
        node = TestNode(tmp_path, sections)
        assert main(["--config", str(node.path), "auth", "isp"]) != 0
        assert "No such file or directory" in capsys.readouterr().err
        assert server.requests == []


def test_who_uses_no_oauth_is_told_who_does(tmp_path, capsys):
    sections = SECTIONS.format(url="https://a/", device_url="https://a/d", authority="")
    node = TestNode(tmp_path, sections.replace('ca_file = ""', ""))
    assert main(["--config", str(node.path), "auth", "other"]) == 64
    assert "there are: isp, o" in capsys.readouterr().err
    assert device.USUAL_INTERVAL_SECONDS == 5  # RFC 8628 section 3.2
