"""Kerberos is asked only where its library is there; without, the extra is named."""

from __future__ import annotations

import asyncio
import sys

import pytest

from relaynode.errors import NoSecret
from relaynode.logins.ticket import ticket_maker


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(NoSecret, match=r"pip install relaynode\[gssapi\]"):
        asyncio.run(ticket_maker("mx.example.net", "smtp"))
