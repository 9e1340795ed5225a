"""Requests to an OAuth server; the usual one: a refresh token for an access token (RFC 6749
section 6).

Blocks: for threads. The answer is bounded in size and time, redirections are not followed (they
would take the tokens elsewhere), and what the server says in errors is told without any secret.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from relaynode.logins.login import no_secret

if TYPE_CHECKING:
    import ssl

    from relaynode.errors import NoSecret

MAX_ANSWER_BYTES = 64 * 1024
REQUEST_SECONDS = 60.0
USUAL_SECONDS = 3600.0
"""How long a token is good where the server does not say (RFC 6749 5.1 recommends that it does)."""

_TOKEN = re.compile(r"[!-~]{1,16384}")
"""RFC 6749 appendix A.12 and A.17, but for blanks, which would not survive our file."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask, and as which client. `context`: of TLS, None for one's own machine."""

    name: str
    url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    context: ssl.SSLContext | None = None
    timeout_seconds: float = REQUEST_SECONDS


@dataclass(frozen=True, slots=True)
class Granted:
    """What the server gave. `refresh_token`: "" where the old one stays good."""

    access_token: str = field(repr=False)
    lifetime_seconds: float
    refresh_token: str = field(default="", repr=False)


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None makes it an HTTPError."""
        return


def fetch(endpoint: Endpoint, refresh_token: str) -> Granted:
    """A new access token. Raises: NoSecret."""
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": endpoint.client_id,
        **({"client_secret": endpoint.client_secret} if endpoint.client_secret else {}),
        **({"scope": endpoint.scope} if endpoint.scope else {}),
    }
    status, answer = ask(endpoint, fields)
    if status != 200 or "error" in answer:
        raise failed(endpoint, reason(status, answer))
    return granted(endpoint, answer)


def ask(endpoint: Endpoint, fields: dict[str, str], url: str = "") -> tuple[int, dict[str, Any]]:
    """Post a form, to `url` if it is not the endpoint's own: status and JSON of the answer.

    Raises: NoSecret if there is no such answer.
    """
    request = urllib.request.Request(
        url or endpoint.url,
        data=urllib.parse.urlencode(fields).encode(),
        headers={"Accept": "application/json", "User-Agent": "relaynode"},
    )
    status, body = _exchange(endpoint, request)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise failed(endpoint, f"HTTP {status} and no JSON")
    return status, answer


class _Deadline:
    """Cuts what takes too long as a whole: the library's own limit is for each silence."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for connection in self._watched:
            connection.close()

    def watch(self, connection: socket.socket) -> None:
        """This one may be cut. TLS takes the socket over, so it is a copy that is kept."""
        self._watched.append(connection.dup())

    def _cut(self) -> None:
        self.is_over = True
        for connection in self._watched:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Http(http.client.HTTPConnection):
    """A connection under a deadline, which is given when it is made."""

    deadline: _Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


class _Https(http.client.HTTPSConnection, _Http):
    """The same under TLS, from before its handshake on."""


class _Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens connections under a deadline."""

    def __init__(self, deadline: _Deadline, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._deadline = deadline
        self._tls = context

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._maker(_Http), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._maker(_Https), req, context=self._tls)

    def _maker(self, kind: type[_Http]) -> Any:
        def make(*arguments: Any, **more: Any) -> _Http:
            made = kind(*arguments, **more)
            made.deadline = self._deadline
            return made

        return make


def _exchange(endpoint: Endpoint, request: urllib.request.Request) -> tuple[int, bytes]:
    with _Deadline(endpoint.timeout_seconds) as deadline:
        opener = urllib.request.build_opener(_Handler(deadline, endpoint.context), _NoRedirection)
        try:
            found = _answer(opener, request, endpoint.timeout_seconds)
            if not deadline.is_over:
                return found
            why = ""
        except urllib.error.URLError as error:
            why = str(getattr(error.reason, "strerror", "") or error.reason)
        except (OSError, ValueError) as error:
            why = str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 - http.client has a family of errors of its own
            why = f"no HTTP: {type(error).__name__}"
        if deadline.is_over:
            why = f"no whole answer within {endpoint.timeout_seconds:g} s"
        raise failed(endpoint, why)


def _answer(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, seconds: float
) -> tuple[int, bytes]:
    try:
        with opener.open(request, timeout=seconds) as answer:
            return answer.status, _body(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _body(error)


def _body(answer: IO[bytes]) -> bytes:
    """Raises: ValueError if there is too much of it."""
    body = answer.read(MAX_ANSWER_BYTES + 1)
    if len(body) > MAX_ANSWER_BYTES:
        raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return body


def granted(endpoint: Endpoint, answer: dict[str, Any]) -> Granted:
    """The tokens in an answer that is no error. Raises: NoSecret if there are none."""
    access, refresh = answer.get("access_token"), answer.get("refresh_token", "")
    if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise failed(endpoint, "the answer holds no access_token")
    if str(answer.get("token_type", "Bearer")).lower() != "bearer":
        raise failed(endpoint, "the token is no Bearer token")
    if refresh and not (isinstance(refresh, str) and _TOKEN.fullmatch(refresh)):
        raise failed(endpoint, "the refresh_token makes no sense")
    return Granted(access, _seconds(answer.get("expires_in")), refresh or "")


def _seconds(value: Any) -> float:
    """Some servers write the number as a text."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return USUAL_SECONDS
    return seconds if 0 < seconds < 10**9 else USUAL_SECONDS


def reason(status: int, answer: dict[str, Any]) -> str:
    """What an error says, for people; strangers wrote it."""
    words = [str(answer[key]) for key in ("error", "error_description") if answer.get(key)]
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", ": ".join(words))[:200]
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"


def failed(endpoint: Endpoint, why: str) -> NoSecret:
    """The error for a token that cannot be had from there."""
    return no_secret(f"[oauth.{endpoint.name}] {endpoint.url}", why)
