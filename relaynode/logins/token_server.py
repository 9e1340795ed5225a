"""One request to an OAuth server: a refresh token for an access token (RFC 6749 section 6).

Blocks: for threads. The answer is bounded in size and time, redirections are not followed (they
would take the tokens elsewhere), and what the server says in errors is told without any secret.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from relaynode.logins.login import no_secret

if TYPE_CHECKING:
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
    request = urllib.request.Request(
        endpoint.url,
        data=urllib.parse.urlencode(fields).encode(),
        headers={"Accept": "application/json", "User-Agent": "relaynode"},
    )
    status, body = _exchange(endpoint, request)
    return _granted(endpoint, status, body)


def _exchange(endpoint: Endpoint, request: urllib.request.Request) -> tuple[int, bytes]:
    https = urllib.request.HTTPSHandler(context=endpoint.context)
    opener = urllib.request.build_opener(https, _NoRedirection)
    deadline = time.monotonic() + endpoint.timeout_seconds
    try:
        try:
            with opener.open(request, timeout=endpoint.timeout_seconds) as answer:
                return answer.status, _read(endpoint, answer, deadline)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(endpoint, error, deadline)
    except urllib.error.URLError as error:
        raise _failed(
            endpoint, str(getattr(error.reason, "strerror", "") or error.reason)
        ) from None
    except (OSError, ValueError, urllib.error.ContentTooShortError) as error:
        raise _failed(endpoint, str(error) or type(error).__name__) from None
    except Exception as error:  # noqa: BLE001 - http.client has a family of errors of its own
        raise _failed(endpoint, f"no HTTP: {type(error).__name__}") from None


def _read(endpoint: Endpoint, answer: IO[bytes], deadline: float) -> bytes:
    body = b""
    while len(body) <= MAX_ANSWER_BYTES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no whole answer within {endpoint.timeout_seconds:g} s")
        piece = answer.read1(4096) if hasattr(answer, "read1") else answer.read(4096)
        if not piece:
            return body
        body += piece
    raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")


def _granted(endpoint: Endpoint, status: int, body: bytes) -> Granted:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _failed(endpoint, f"HTTP {status} and no JSON")
    if status != 200 or "error" in answer:
        raise _failed(endpoint, _reason(status, answer))
    access, refresh = answer.get("access_token"), answer.get("refresh_token", "")
    if not isinstance(access, str) or not _TOKEN.fullmatch(access):
        raise _failed(endpoint, "the answer holds no access_token")
    if str(answer.get("token_type", "Bearer")).lower() != "bearer":
        raise _failed(endpoint, "the token is no Bearer token")
    if refresh and not (isinstance(refresh, str) and _TOKEN.fullmatch(refresh)):
        raise _failed(endpoint, "the refresh_token makes no sense")
    return Granted(access, _seconds(answer.get("expires_in")), refresh or "")


def _seconds(value: Any) -> float:
    """Some servers write the number as a text."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return USUAL_SECONDS
    return seconds if 0 < seconds < 10**9 else USUAL_SECONDS


def _reason(status: int, answer: dict[str, Any]) -> str:
    words = [str(answer[key]) for key in ("error", "error_description") if answer.get(key)]
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", ": ".join(words))[:200]
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"


def _failed(endpoint: Endpoint, why: str) -> NoSecret:
    return no_secret(f"[oauth.{endpoint.name}] {endpoint.url}", why)
