"""XRELAYNODE-ONCE: our own extension, by which a message that comes twice is known again.

When the reply to the end of the content is lost, SMTP leaves the client no choice but to send the
message again (RFC 5321 4.5.3.2.6, RFC 1047). A server that offers the keyword in its answer to EHLO
takes MAIL FROM:<...> XONCE=id, the id as xtext (RFC 3461 section 4): the client's name for the
message, the same in all its tries and given to no other. If such a message has come before, with
the same content and for the same recipient, the server says 250 and does not queue it again.
"""

from __future__ import annotations

from relaynode.mail.xtext import xtext_encode

KEYWORD = "XRELAYNODE-ONCE"
PARAMETER = "XONCE"

MAX_ID_CHARACTERS = 512
"""As xtext: a host name of 255 octets has room."""


def parameter(once_id: str) -> str:
    """What MAIL says of a message."""
    return f"{PARAMETER}={xtext_encode(once_id)}"
