"""Kind `rewrite`: an address in its four roles, for one mailer."""

from __future__ import annotations

from typing import Any

from relaynode.policy import rewrite
from relaynode.policy.role import Role

_FIELDS = {Role.HEADER_SENDER: b"From: ", Role.HEADER_RECIPIENT: b"To: "}


def answer(site: Any, case: dict[str, Any]) -> dict[str, Any]:
    """The address in each role. In the header it is rewritten in its field, as in a message."""
    masquerade = site.rules.masquerade
    return {role.value: _rewritten(masquerade, case, role) for role in Role}


def _rewritten(masquerade: Any, case: dict[str, Any], role: Role) -> str:
    text = case["input"]
    if role not in _FIELDS or not _has_phrase(text):
        return rewrite.rewrite(masquerade, text, role, mailer=case["mailer"]).result
    field = _FIELDS[role] + text.encode() + b"\r\n"
    written = rewrite.header(masquerade, field, mailer=case["mailer"])
    return written.removeprefix(_FIELDS[role]).decode().strip()


def _has_phrase(text: str) -> bool:
    return "<" in text.removeprefix("<") or "(" in text


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """The same as recorded."""
    return dict(case["expect"])
