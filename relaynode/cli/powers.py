"""What the monitor of a node may do, by the configuration and the tables as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relaynode.config.loader import load
from relaynode.errors import ConfigError
from relaynode.mailers.monitor_acts import Acts
from relaynode.mailers.users import Users
from relaynode.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relaynode.config.loader import Config
    from relaynode.mail.envelope import Recipient
    from relaynode.mailers.monitor_words import Request


class Powers:
    """By the configuration as it was when the monitor was last told of a change."""

    def __init__(self, config: Config) -> None:
        self._take(config)

    def _take(self, config: Config) -> None:
        self._config = config
        users = Users(config.mailbox, frozenset(config.file.local.users))
        self._rules = Rules(config, users)
        section = config.file.local
        self._users = users
        self._command = None if section.command is None else section.command.words
        self._default_user = section.default_user or ""

    def reload(self) -> None:
        """Take a changed configuration, if it is right; the node says what is wrong."""
        try:
            config = load(self._config.path, with_secrets=False)
        except ConfigError:
            return
        if config.file.node.user == self._config.file.node.user:
            self._take(config)

    def act(self, request: Request) -> int:
        """In a process of its own: the tables are read as they are now."""
        acts = Acts(
            self._users,
            self._rules.locals,
            self._expand,
            self._names_list,
            self._command,
            self._default_user,
        )
        return acts.do(request)

    def _expand(self, address: str) -> Sequence[Recipient]:
        return self._rules.expander.expand(address).recipients

    def _names_list(self, path: str, reader: str) -> bool:
        """As text: it is only to be found out whether somebody has written it there."""
        wanted = re.compile(rf':include:\s*"?{re.escape(path)}(?=["\s,]|$)', re.MULTILINE)
        texts = [self._config.aliases.read_text(errors="surrogateescape")]
        own = self._rules.locals.forward(reader, "") if reader else None
        texts += [] if own is None else [own.text]
        return any(wanted.search(text) for text in texts)
