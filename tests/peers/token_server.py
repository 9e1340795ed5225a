"""A small OAuth server on loopback: refresh tokens for access tokens, which it may rotate.

It is ours and knows two grants (RFC 6749 section 6, RFC 8628); a test scripts what goes wrong.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.certificates import ServerCertificate


class TokenServer:
    """It runs inside a `with` block, at `url`; GET tells there whose a token is.

    rotates: each refresh gives a new refresh token, and takes the old one back.
    lifetime_seconds: what it says of its access tokens; None: nothing.
    tls: answer under https.
    answer: a whole HTTP answer to give instead, as bytes.
    user: whom its tokens are for; those in `spoilt` are good for nobody.
    before_answer: called when a request has been served and its answer not yet written.
    device: what it answers at `device_url`; on top of the codes.
    verdicts: its answers to a device code, one after the other: an error, a whole HTTP answer in
    bytes, or "" for tokens.
    """

    def __init__(
        self,
        *,
        refresh_token: str = "refresh-0",
        rotates: bool = False,
        lifetime_seconds: int | None = 3600,
        tls: ServerCertificate | None = None,
        answer: bytes | None = None,
        user: str = "ann",
        before_answer: Callable[[], object] = lambda: None,
        device: dict[str, Any] | None = None,
        verdicts: tuple[str | bytes, ...] = (),
    ) -> None:
        self.refresh_token = refresh_token
        self.rotates = rotates
        self.lifetime_seconds = lifetime_seconds
        self.answer = answer
        self.user = user
        self.spoilt: set[str] = set()
        self.device = device or {}
        self.verdicts = list(verdicts)
        self.before_answer = before_answer
        self.requests: list[dict[str, str]] = []
        self.access_tokens: list[str] = []
        self._tls = tls

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner._serve(self)

            def do_GET(self) -> None:
                owner._tell(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self._tls is not None:
            context = self._tls.server_context()
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://localhost:{self._server.server_port}/token"
        self.device_url = self.url.replace("/token", "/device")
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length", 0))
        fields = {key: one[0] for key, one in parse_qs(request.rfile.read(length).decode()).items()}
        self.requests.append(fields)
        if self.answer is not None:
            request.wfile.write(self.answer)
            request.close_connection = True
            return
        if request.path == "/device":
            self._write(request, 200, self._invite())
            return
        if "device_code" in fields and isinstance(self.verdicts[0], bytes):
            request.wfile.write(self.verdicts.pop(0))
            request.close_connection = True
            return
        status, answer = self._grant(fields)
        self.before_answer()
        self._write(request, status, answer)

    def _tell(self, request: BaseHTTPRequestHandler) -> None:
        (token,) = parse_qs(urlsplit(request.path).query).get("access_token", [""])
        if token in self.access_tokens and token not in self.spoilt:
            self._write(request, 200, {"username": self.user, "access_token": token})
        else:
            self._write(request, 401, {"error": "invalid_token"})

    def _write(self, request: BaseHTTPRequestHandler, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _invite(self) -> dict[str, Any]:
        return {
            "device_code": "device-0",
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://login.example/device",
            "expires_in": 900,
            **self.device,
        }

    def _grant(self, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if fields.get("device_code") == "device-0":
            if verdict := self.verdicts.pop(0):
                return 400, {"error": verdict}
            answer = {"access_token": "access-0", "refresh_token": self.refresh_token}
            return 200, {key: one for key, one in answer.items() if one}
        if fields.get("refresh_token") != self.refresh_token:
            told = {"error": "invalid_grant", "error_description": "Token expired or revoked"}
            return 400, told
        self.access_tokens.append(f"access-{len(self.access_tokens)}")
        answer: dict[str, Any] = {"access_token": self.access_tokens[-1], "token_type": "Bearer"}
        if self.lifetime_seconds is not None:
            answer["expires_in"] = self.lifetime_seconds
        if self.rotates:
            self.refresh_token = f"refresh-{len(self.access_tokens)}"
            answer["refresh_token"] = self.refresh_token
        return 200, answer
