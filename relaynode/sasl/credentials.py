"""What somebody logs in with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaynode.sasl.outside import SecurityContext


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and one or more ways to show that it is ours. Secrets are not in its repr.

    `acting_as`: whose rights are wanted, "" for the user's own. `realm`: for DIGEST-MD5.
    `has_certificate`: the TLS line shows one of ours. `ticket`: makes a Kerberos context.
    `mechanisms`: those that may be used, () for all. `is_guarded`: the secret is never shown to a
    line that others can read.
    """

    user: str = ""
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    acting_as: str = ""
    realm: str = ""
    has_certificate: bool = False
    ticket: Callable[[], SecurityContext] | None = None
    mechanisms: tuple[str, ...] = ()
    is_guarded: bool = False
