"""The envelope: the reverse-path and forward-paths as given in the transaction (RFC 5321 2.3.1).

Never to be confused with the header fields, which are content. DSN parameters are those of
RFC 3461, the body type is that of RFC 6152.
"""

from __future__ import annotations

from dataclasses import dataclass

NULL_PATH = ""
"""The null reverse-path `<>` (RFC 5321 4.5.5): mail that must never cause a DSN."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path.

    `address`: "local@domain", or "local" alone where no domain was given.
    `notify`: RFC 3461 4.1, a comma list of NEVER, SUCCESS, FAILURE, DELAY; "" when not given.
    `orcpt`: RFC 3461 4.2, "type;address", or "".
    `expanded_from`: the address that an alias or table turned into this one, or "".
    `mailer`: "" where the tables decide at each try where it goes. What is decided once, when the
    message is accepted, names its mailer: "prog" and "*file*", whose `address` is the command or
    the path and `run_as` the user ("" for the default one); a hub's mailer and its `host`; "error",
    whose `host` is the status.
    `owner`: until it is queued, the reverse-path that takes the place of the sender's because it
    stands on a list, or "".
    """

    address: str
    notify: str = ""
    orcpt: str = ""
    expanded_from: str = ""
    mailer: str = ""
    host: str = ""
    run_as: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a message and who shall have it.

    `reverse_path`: "local@domain", or NULL_PATH.
    `body`: "7BIT", "8BITMIME" or "" (RFC 6152). `smtputf8`: the envelope or header needs RFC 6531.
    `ret`: RFC 3461 4.3, "FULL", "HDRS" or "". `envid`: RFC 3461 4.4 (xtext), or "".
    """

    reverse_path: str
    recipients: tuple[Recipient, ...]
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
