"""What an SMTP server offers, as its answer to EHLO tells (RFC 5321 section 4.1.1.1), and the
commands of a transaction in its words: a parameter is sent only where its extension is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.errors import LocalProtocolError
from relaynode.smtp import once
from relaynode.smtp.client_events import Mode

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from relaynode.mail.envelope import Recipient
    from relaynode.smtp.reply import Reply
    from relaynode.smtp.transaction import Transaction

# Neither control characters nor bytes that were no UTF-8 (lone surrogates).
_SAFE_WORD = re.compile("[!-~\u00a0-\ud7ff\ue000-\U0010ffff]+\\Z")
_SAFE_PATH = re.compile("[ !-~\u00a0-\ud7ff\ue000-\U0010ffff]*\\Z")


class Offer:
    """`extensions`: keywords in upper case with their arguments. `relied_on`: those of which
    something was used."""

    def __init__(self, extensions: Mapping[str, str]) -> None:
        self.extensions = dict(extensions)
        self.relied_on: set[str] = set()

    @classmethod
    def told(cls, reply: Reply, without: Collection[str] = ()) -> Offer:
        """What EHLO was answered with, but for what is not to be used."""
        return cls({k: v for k, v in _extensions(reply).items() if k not in without})

    @property
    def mode(self) -> Mode:
        """How transactions are sent to this server."""
        if "PIPELINING" not in self.extensions:
            return Mode.LOCKSTEP
        return Mode.CHUNKED if "CHUNKING" in self.extensions else Mode.PIPELINED

    @property
    def mechanisms(self) -> list[str]:
        """The SASL mechanisms."""
        return self.extensions.get("AUTH", "").split()

    @property
    def max_recipients(self) -> int | None:
        """How many recipients a transaction may have (RFC 9422), if the server told."""
        for limit in self.extensions.get("LIMITS", "").upper().split():
            name, _, value = limit.partition("=")
            if name == "RCPTMAX" and value.isdecimal() and value.isascii() and int(value):
                return int(value)
        return None

    @property
    def max_size_bytes(self) -> int | None:
        """The largest message the server takes (RFC 1870), if it told."""
        size = self.extensions.get("SIZE", "")
        return int(size) if size.isdecimal() and size.isascii() and int(size) else None

    def uses(self, extension: str) -> bool:
        """Is something of an extension used now? Then it is relied on."""
        if extension not in self.extensions:
            return False
        self.relied_on.add(extension)
        return True

    def mail(self, transaction: Transaction, *, with_size: bool) -> str:
        """MAIL FROM. `with_size`: it can be done without. Raises: LocalProtocolError."""
        command = f"MAIL FROM:<{_path(transaction.reverse_path)}>"
        if with_size and self.uses("SIZE"):
            command += f" SIZE={transaction.size_bytes}"
        if transaction.is_8bit and self.uses("8BITMIME"):
            command += " BODY=8BITMIME"
        if transaction.smtputf8 and self.uses("SMTPUTF8"):
            command += " SMTPUTF8"
        if transaction.once_id and self.uses(once.KEYWORD):
            command += f" {once.parameter(transaction.once_id)}"
        if (transaction.ret or transaction.envid) and self.uses("DSN"):
            command += f" RET={_word(transaction.ret)}" if transaction.ret else ""
            command += f" ENVID={_word(transaction.envid)}" if transaction.envid else ""
        return command

    def rcpt(self, recipient: Recipient) -> str:
        """RCPT TO. Raises: LocalProtocolError."""
        command = f"RCPT TO:<{_path(recipient.address)}>"
        if (recipient.notify or recipient.orcpt) and self.uses("DSN"):
            command += f" NOTIFY={_word(recipient.notify)}" if recipient.notify else ""
            command += f" ORCPT={_word(recipient.orcpt)}" if recipient.orcpt else ""
        return command


def _extensions(reply: Reply) -> dict[str, str]:
    """The lines of the answer; the old AUTH= form too."""
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, arguments = line.strip().partition(" ")
        if keyword.upper().startswith("AUTH="):
            keyword, arguments = "AUTH", f"{keyword[5:]} {arguments}"
        if keyword.upper() == "AUTH" and "AUTH" in found:
            arguments = f"{found['AUTH']} {arguments}"
        found[keyword.upper()] = arguments.strip()
    return found


def _word(text: str) -> str:
    if not _SAFE_WORD.match(text):
        raise LocalProtocolError("a parameter holds blanks or control characters")
    return text


def _path(path: str) -> str:
    if not _SAFE_PATH.match(path):
        raise LocalProtocolError("a path holds control characters or is not UTF-8")
    return path
