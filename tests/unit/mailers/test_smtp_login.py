"""How an SMTP session logs in: refusals that lead on, tokens that are renewed, servers without."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from contextlib import suppress

import pytest

from relaynode.errors import LineLost, LoginRefused, ServerNotProven
from relaynode.logins import Known
from relaynode.mailers.smtp_dialogue import Dialogue
from relaynode.mailers.smtp_login import SmtpLogin
from relaynode.sasl import Credentials
from relaynode.smtp.client import Client
from relaynode.smtp.client_events import Greeted, Ready
from relaynode.wire.memory import MemoryStream, pair

LONG = 10.0
TIM = Credentials("tim", "geheim")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Server:
    """Offers mechanisms, and answers the lines of a login one by one."""

    def __init__(self, offered: str, *answers: str) -> None:
        self.offered = offered
        self.answers = list(answers)
        self.said: list[str] = []

    async def run(self, stream: MemoryStream) -> None:
        with suppress(LineLost):
            await stream.write(b"220 mx.example.net\r\n")
            buffer = b""
            while True:
                while b"\r\n" not in buffer:
                    data = await stream.read()
                    if not data:
                        return
                    buffer += data
                line, _, buffer = buffer.partition(b"\r\n")
                if line.startswith(b"EHLO"):
                    auth = f"250-AUTH {self.offered}\r\n" if self.offered else ""
                    await stream.write(f"250-mx.example.net\r\n{auth}250 HELP\r\n".encode())
                    continue
                self.said.append(line.decode())
                await stream.write(self.answers.pop(0).encode() + b"\r\n")


class Renewing(Known):
    """Has newer tokens."""

    def __init__(self, *tokens: str) -> None:
        super().__init__(Credentials("tim", token=tokens[0]))
        self.newer = list(tokens[1:])
        self.asked: list[str | None] = []

    async def renewed(self, refused: Credentials) -> Credentials | None:
        self.asked.append(refused.token)
        token = self.newer.pop(0) if self.newer else None
        return None if token is None else dataclasses.replace(refused, token=token)


def log_in(server: Server, login: Known, *, is_private: bool = True) -> None:
    async def go() -> None:
        ours, theirs = pair()
        serving = asyncio.ensure_future(server.run(theirs))
        try:
            dialogue = Dialogue(ours, Client("pc.lan"), lambda: 0.0, LONG)
            await dialogue.until(Greeted)
            dialogue.hello()
            await dialogue.until(Ready)
            await SmtpLogin(dialogue, login, "mx.example.net", is_private).run()
            assert dialogue.client.can_begin
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(go())


PLAIN = "AUTH PLAIN " + b64(b"\0tim\0geheim")
INVALID = "334 " + b64(b'{"status":"invalid_token"}')


@pytest.mark.parametrize("code", [500, 501, 502, 504, 534, 538])
def test_a_mechanism_that_is_turned_down_is_followed_by_the_next(code: int) -> None:
    challenge = b64(b"<1@x>")
    server = Server("PLAIN CRAM-MD5", f"{code} 5.5.4 not this", f"334 {challenge}", "235 in")
    log_in(server, Known(TIM))
    assert server.said[:2] == [PLAIN, "AUTH CRAM-MD5"]


def test_when_all_are_turned_down_the_last_answer_is_the_reason() -> None:
    server = Server("PLAIN LOGIN", "504 5.5.4 no PLAIN", "504 5.5.4 no LOGIN")
    with pytest.raises(LoginRefused, match=r"AUTH refused: 504 5\.5\.4 no LOGIN"):
        log_in(server, Known(TIM))
    assert server.said == [PLAIN, "AUTH LOGIN"]


@pytest.mark.parametrize("reply", ["535 5.7.8 wrong", "454 4.7.0 later", "550 5.7.1 blocked"])
def test_a_refusal_of_the_secret_is_final(reply: str) -> None:
    server = Server("PLAIN LOGIN CRAM-MD5", reply)
    with pytest.raises(LoginRefused) as caught:
        log_in(server, Known(TIM))
    assert server.said == [PLAIN]
    assert str(caught.value).endswith(f"AUTH refused: {reply}")


def test_a_refused_token_is_renewed_once() -> None:
    server = Server("XOAUTH2", INVALID, "535 5.7.8 no", "235 in")
    login = Renewing("old", "new", "newer")
    log_in(server, login)
    assert login.asked == ["old"]
    assert server.said == [
        "AUTH XOAUTH2 " + b64(b"user=tim\1auth=Bearer old\1\1"),
        "",
        "AUTH XOAUTH2 " + b64(b"user=tim\1auth=Bearer new\1\1"),
    ]


def test_a_token_refused_twice_is_told_with_the_servers_reason() -> None:
    server = Server("OAUTHBEARER", *(INVALID, "535 5.7.8 no") * 2)
    login = Renewing("old", "new", "newer")
    with pytest.raises(LoginRefused) as caught:
        log_in(server, login)
    assert "OAUTHBEARER says invalid_token: AUTH refused: 535 5.7.8 no" in str(caught.value)
    assert login.newer == ["newer"]
    assert server.said[1::2] == ["AQ==", "AQ=="]


def test_a_token_is_not_sent_over_an_open_line() -> None:
    server = Server("XOAUTH2 PLAIN")
    with pytest.raises(LoginRefused, match="a token is sent under TLS only"):
        log_in(server, Renewing("old"), is_private=False)
    assert server.said == []


def test_an_impostor_is_told_that_it_is_one_and_gets_nothing_more() -> None:
    server = Server("SCRAM-SHA-256", "235 welcome")
    with pytest.raises(ServerNotProven):
        log_in(server, Known(TIM))


def test_a_login_that_cannot_go_on_is_called_off() -> None:
    server = Server("CRAM-MD5", "334 ", "501 5.7.0 cancelled")
    with pytest.raises(Exception, match="CRAM-MD5: an empty challenge"):
        log_in(server, Known(TIM))
    assert server.said == ["AUTH CRAM-MD5", "*"]


def test_what_must_be_logged_into_must_offer_a_way() -> None:
    with pytest.raises(LoginRefused, match="the server offers nothing"):
        log_in(Server(""), Known(TIM))
    only = dataclasses.replace(TIM, mechanisms=("SCRAM-SHA-1",))
    with pytest.raises(LoginRefused, match="offers PLAIN, auth allows SCRAM-SHA-1"):
        log_in(Server("PLAIN"), Known(only))


def test_what_may_be_logged_into_is_used_without_where_it_offers_no_way() -> None:
    log_in(Server(""), Known(TIM, is_required=False))
    guarded = dataclasses.replace(TIM, is_guarded=True)
    server = Server("PLAIN")
    log_in(server, Known(guarded, is_required=False), is_private=False)
    assert server.said == []
    refusing = Server("PLAIN", "535 5.7.8 no")
    with pytest.raises(LoginRefused):
        log_in(refusing, Known(TIM, is_required=False))


def test_credentials_are_asked_for_only_where_there_is_a_login() -> None:
    class Never(Known):
        async def credentials(self, host: str, address: str) -> Credentials | None:
            raise AssertionError("asked")

    log_in(Server(""), Never(TIM, is_required=False))
