"""Asking the DNS: names of addresses, addresses of names, mail exchangers.

Every method waits for the answer, and is meant for a thread of its own. The hosts file counts
too, where the system's resolver reads it. That there is no such name is an answer; that nobody
answers, or that the server fails, is ConnectFailed.
"""

from __future__ import annotations

import socket

from relaynode.errors import ConnectFailed

ANSWER_SECONDS = 15.0
"""For one question about mail exchangers, all servers and repetitions together."""

_TRY_AGAIN = 2
"""h_errno of <netdb.h>, which the module socket does not name."""


class Dns:
    """The system's resolver."""

    def name_of(self, address: str) -> str | None:
        """The name of an IP address, None if it has none. Raises: ConnectFailed."""
        try:
            return socket.gethostbyaddr(address)[0].rstrip(".")
        except socket.herror as error:
            if error.errno == _TRY_AGAIN:
                raise ConnectFailed(f"{address}: {error.strerror}") from error
            return None
        except (OSError, UnicodeError):
            return None

    def addresses(self, name: str) -> frozenset[str]:
        """The IP addresses of a name, none if there are none. Raises: ConnectFailed."""
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
                raise ConnectFailed(f"{name}: {error.strerror}") from error
            return frozenset()
        except (OSError, UnicodeError):  # a label that DNS cannot hold
            return frozenset()
        return frozenset(str(where[4][0]).partition("%")[0] for where in found)

    def mail_exchangers(self, domain: str) -> tuple[str, ...]:
        """The hosts of the MX records, the best first, in lower case. Raises: ConnectFailed."""
        from dns import exception, name, resolver  # they are large, and few nodes ask

        try:
            asked = name.from_text(domain)
        except (exception.DNSException, UnicodeError):  # no name that DNS could hold
            return ()
        try:
            found = resolver.Resolver().resolve(
                asked, "MX", lifetime=ANSWER_SECONDS, raise_on_no_answer=False
            )
        except resolver.NXDOMAIN:
            return ()
        except (exception.DNSException, OSError) as error:
            raise ConnectFailed(f"MX of {domain}: {error}") from error
        records = sorted(found, key=lambda record: int(record.preference))
        return tuple(record.exchange.to_text(omit_final_dot=True).lower() for record in records)
