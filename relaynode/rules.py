"""The rules in force: configuration and tables, as the policies want them, at this moment.

Tables are read again when they have changed, so each property is asked for anew where a decision
is taken, and may raise TableError each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy.expand import Expander
from relaynode.policy.rewrite import Masquerade
from relaynode.policy.route import Routing
from relaynode.tables.loader import Tables

if TYPE_CHECKING:
    from relaynode.config.loader import Config
    from relaynode.mailers.users import Users


class Rules:
    """The policies of one node."""

    def __init__(self, config: Config, users: Users) -> None:
        self._config = config
        self._users = users
        self.tables = Tables(config.tables)
        self._names: frozenset[str] = frozenset()
        self._local_domains = config.local_domains

    @property
    def local_domains(self) -> frozenset[str]:
        """Names of ours (class w). Raises: TableError."""
        names = self.tables.local_host_names
        if names is not self._names:  # read anew: put them together once, however many they are
            self._names = names
            self._local_domains = self._config.local_domains | names
        return self._local_domains

    @property
    def routing(self) -> Routing:
        """Where mail goes. Raises: TableError."""
        name = self._config.default_smart_host
        smart_host = None
        if name is not None:
            smart_host = (name, str(self._config.file.smart_host[name].host))
        return Routing(self.local_domains, self.tables.mailertable, smart_host)

    @property
    def expander(self) -> Expander:
        """What local names stand for. Raises: TableError."""
        return Expander(self.routing, self.tables.aliases, self._users.exists)

    @property
    def masquerade(self) -> Masquerade:
        """What our addresses look like outside. Raises: TableError."""
        section = self._config.file.masquerade
        return Masquerade(
            hostname=self._config.hostname,
            as_domain=section.as_domain or "",
            all_headers=section.all,
            envelope=section.envelope,
            exposed_users=frozenset(user.lower() for user in section.exposed_users),
            local_domains=self.local_domains,
            masquerade_domains=frozenset(domain.lower() for domain in section.domains),
            entire_domain=section.entire_domain,
            exceptions=frozenset(domain.lower() for domain in section.exceptions),
        )
