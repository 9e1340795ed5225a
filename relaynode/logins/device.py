"""Leave to fetch tokens, given in a browser on any machine (RFC 8628): this one may have none.

    we            may I? ...............................>  device_url
                  <.............  a code for people, a code for us
    somebody      opens the page, enters the code, says yes
    we            is it done? ..........................>  token_url, again and again
                  <.............  not yet; slower; no; too late; the tokens

Blocks: for a command. What the server says is bounded, and cleaned before anybody sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relaynode.errors import NoSecret
from relaynode.logins.token_server import ask, failed, granted, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.logins.token_server import Endpoint, Granted

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"

USUAL_INTERVAL_SECONDS = 5.0
"""Between two questions, where the server does not say (RFC 8628 section 3.2)."""

SLOWER_SECONDS = 5.0
"""What a "slow_down" adds to that, for good (section 3.5)."""

MAX_INTERVAL_SECONDS = 120.0
MAX_LIFETIME_SECONDS = 3600.0

_CODE = re.compile(r"[!-~]{1,16384}")
_SHOWN = re.compile(r"[ -~]{1,2000}")

_MEANING = {
    "access_denied": "it was refused in the browser",
    "expired_token": "nobody said yes in time; begin again",
}


@dataclass(frozen=True, slots=True)
class Invitation:
    """What to do in a browser: open `url` and enter `user_code`, or open `whole_url`, which may
    be "". `lifetime_seconds`: how long it may take."""

    url: str
    user_code: str
    whole_url: str
    lifetime_seconds: float
    interval_seconds: float
    device_code: str = field(repr=False)


def invite(endpoint: Endpoint, device_url: str) -> Invitation:
    """Ask for leave (section 3.1). Raises: NoSecret."""
    fields = {
        "client_id": endpoint.client_id,
        **({"scope": endpoint.scope} if endpoint.scope else {}),
    }
    status, answer = ask(endpoint, fields, device_url)
    if status != 200 or "error" in answer:
        raise failed(endpoint, reason(status, answer))
    # Some servers were there before the RFC gave the field its name.
    url = answer.get("verification_uri", answer.get("verification_url"))
    code = answer.get("device_code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise failed(endpoint, "the answer holds no device_code")
    whole_url = answer.get("verification_uri_complete")
    return Invitation(
        _shown(endpoint, url, "verification_uri"),
        _shown(endpoint, answer.get("user_code"), "user_code"),
        whole_url if isinstance(whole_url, str) and _SHOWN.fullmatch(whole_url) else "",
        _seconds(answer.get("expires_in"), MAX_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS),
        _seconds(answer.get("interval"), USUAL_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS),
        code,
    )


def wait(
    endpoint: Endpoint,
    invitation: Invitation,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Granted:
    """Ask until somebody has decided (sections 3.4, 3.5). Raises: NoSecret.

    `clock`: monotonic seconds. A server that cannot be reached is asked again, ever more rarely.
    """
    fields = {
        "grant_type": GRANT_TYPE,
        "device_code": invitation.device_code,
        "client_id": endpoint.client_id,
        **({"client_secret": endpoint.client_secret} if endpoint.client_secret else {}),
    }
    interval = invitation.interval_seconds
    ends_at = clock() + invitation.lifetime_seconds
    trouble: NoSecret | None = None
    while clock() + interval <= ends_at:
        sleep(interval)
        try:
            status, answer = ask(endpoint, fields)
        except NoSecret as error:
            trouble, interval = error, min(interval * 2, MAX_INTERVAL_SECONDS)
            continue
        trouble = None
        told = answer.get("error")
        if told is None and status == 200:
            return _lasting(endpoint, granted(endpoint, answer))
        if told == "slow_down":
            interval = min(interval + SLOWER_SECONDS, MAX_INTERVAL_SECONDS)
        elif told != "authorization_pending":
            raise failed(endpoint, _refusal(status, answer))
    raise trouble or failed(endpoint, _MEANING["expired_token"])


def _lasting(endpoint: Endpoint, found: Granted) -> Granted:
    if not found.refresh_token:
        text = 'it gave no refresh_token; many servers want scope to hold "offline_access"'
        raise failed(endpoint, text)
    return found


def _refusal(status: int, answer: dict[str, Any]) -> str:
    return _MEANING.get(str(answer.get("error"))) or reason(status, answer)


def _shown(endpoint: Endpoint, text: Any, name: str) -> str:
    if not isinstance(text, str) or not _SHOWN.fullmatch(text):
        raise failed(endpoint, f"the answer holds no {name}")
    return text


def _seconds(value: Any, usual: float, most: float) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return usual
    return min(max(seconds, 1.0), most) if seconds == seconds else usual  # NaN is not
