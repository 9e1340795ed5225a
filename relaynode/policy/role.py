"""What an address is in a message, which says how it may be written."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """What an address is in a message."""

    HEADER_SENDER = "header-sender"
    HEADER_RECIPIENT = "header-recipient"
    ENVELOPE_SENDER = "envelope-sender"
    ENVELOPE_RECIPIENT = "envelope-recipient"


SENDERS = frozenset({Role.HEADER_SENDER, Role.ENVELOPE_SENDER})
