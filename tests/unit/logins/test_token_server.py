"""The request to an OAuth server: what is sent, what is believed, and how it fails."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from peers.certificates import make_certificate
from peers.processes import free_port
from peers.token_server import TokenServer
from relaynode.errors import NoSecret
from relaynode.logins.token_server import MAX_ANSWER_BYTES, USUAL_SECONDS, Endpoint, fetch

if TYPE_CHECKING:
    from pathlib import Path


def endpoint(url: str, **more: object) -> Endpoint:
    return Endpoint("isp", url, "relaynode", timeout_seconds=5.0, **more)  # type: ignore[arg-type]


def http(body: bytes, status: str = "200 OK", more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + more + b"\r\n" + body


def test_a_refresh_token_is_given_for_an_access_token() -> None:
    with TokenServer() as server:
        granted = fetch(endpoint(server.url), "refresh-0")
        assert (granted.access_token, granted.lifetime_seconds) == ("access-0", 3600)
        assert granted.refresh_token == ""
        assert server.requests == [
            {
                "grant_type": "refresh_token",
                "refresh_token": "refresh-0",
                "client_id": "relaynode",
            }
        ]
        fetch(endpoint(server.url, client_secret="c+ =&", scope="mail send"), "refresh-0")
        assert server.requests[1]["client_secret"] == "c+ =&"
        assert server.requests[1]["scope"] == "mail send"
        server.rotates = True
        assert fetch(endpoint(server.url), "refresh-0").refresh_token == "refresh-3"


def test_https_is_verified(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with TokenServer(tls=certificate) as server:
        where = endpoint(server.url, context=ssl.create_default_context())
        with pytest.raises(NoSecret, match="certificate verify failed"):
            fetch(where, "refresh-0")
        assert server.requests == []
        trusting = dataclasses.replace(where, context=certificate.client_context())
        assert fetch(trusting, "refresh-0").access_token == "access-0"


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        ("3599", 3599),
        ('"120"', 120),
        ("null", USUAL_SECONDS),
        ("-1", USUAL_SECONDS),
        ("1e99", USUAL_SECONDS),
        ("NaN", USUAL_SECONDS),
        ("[]", USUAL_SECONDS),
    ],
)
def test_whatever_the_lifetime_looks_like(lifetime: str, seconds: float) -> None:
    body = b'{"access_token":"a","token_type":"bearer","expires_in":%s}' % lifetime.encode()
    with TokenServer(answer=http(body)) as server:
        assert fetch(endpoint(server.url), "r").lifetime_seconds == seconds


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (http(b'{"error":"invalid_grant"}', "400 Bad Request"), "HTTP 400: invalid_grant"),
        (
            http(b'{"error":"x","error_description":"a\\r\\nb"}', "401 No"),
            "HTTP 401: x: a b",
        ),
        (http(b'{"error":"x"}'), "HTTP 200: x"),
        (http(b"<html>", "502 Bad Gateway"), "HTTP 502 and no JSON"),
        (http(b"[" * 50_000), "no JSON"),
        (http(b"[]"), "no JSON"),
        (http(b"{}"), "no access_token"),
        (http(b'{"access_token":7}'), "no access_token"),
        (http(b'{"access_token":"a\\nb"}'), "no access_token"),
        (http(b'{"access_token":"a","token_type":"mac"}'), "no Bearer"),
        (http(b'{"access_token":"a","refresh_token":["r"]}'), "refresh_token makes no sense"),
        (http(b'{"access_token":"a","refresh_token":"r\\ns"}'), "refresh_token makes no sense"),
        (http(b"x" * (MAX_ANSWER_BYTES + 9)), f"more than {MAX_ANSWER_BYTES} bytes"),
        (http(b"", "302 Found", b"Location: http://localhost:1/\r\n"), "HTTP 302"),
        (http(b"", "307 Go", b"Location: http://localhost:1/\r\n"), "HTTP 307"),
        (b"220 mx ESMTP\r\n", "no HTTP"),
        (b"", "closed connection without response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "no JSON"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", "no HTTP"),
    ],
)
def test_an_answer_that_is_none_is_an_error_that_tells_and_shows_no_secret(
    answer: bytes, told: str
) -> None:
    with TokenServer(answer=answer) as server:
        with pytest.raises(NoSecret) as caught:
            fetch(endpoint(server.url, client_secret="sesame"), "geheim")
        text = str(caught.value)
        assert told in text
        assert f"[oauth.isp] {server.url}" in text
        assert "sesame" not in text
        assert "geheim" not in text
        assert "\n" not in text
        assert len(server.requests) == 1, "nothing is sent elsewhere"


@pytest.mark.parametrize("drips", [b"H", b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n{"])
def test_a_server_that_never_ends_its_answer_is_cut(drips: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(drips)
                    connection.settimeout(0.02)
                    while True:  # never silent for long, until we cut it
                        connection.sendall(b" ")
                        with suppress(TimeoutError):
                            connection.recv(4096)

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        where = Endpoint("isp", url, "relaynode", timeout_seconds=0.2)
        with pytest.raises(NoSecret, match=r"no whole answer within 0\.2 s"):
            fetch(where, "geheim")


def test_a_server_that_is_not_there_is_named() -> None:
    url = f"http://localhost:{free_port()}/"
    with pytest.raises(NoSecret, match="Connection refused"):
        fetch(endpoint(url), "geheim")


def test_nothing_shows_tokens() -> None:
    with TokenServer(rotates=True) as server:
        where = endpoint(server.url, client_secret="sesame")
        granted = fetch(where, "refresh-0")
    assert "sesame" not in repr(where)
    assert "access-0" not in repr(granted)
    assert "refresh-1" not in repr(granted)
