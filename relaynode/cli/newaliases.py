"""`newaliases` and `sendmail -bi`: says what is in the aliases file, and what is wrong with it.

Nothing is built: relaynode reads the text, and reads it again when it has changed. So anybody may
ask, where sendmail lets only its administrator.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaynode.errors import EX_OK, EX_SOFTWARE, TableError
from relaynode.mailers.users import Users
from relaynode.rules import Rules
from relaynode.tables.aliases import is_warning, parse_aliases

if TYPE_CHECKING:
    from relaynode.config.loader import Config


def run(config: Config) -> int:
    """Print; 70 if a line is wrong. Raises: TableError."""
    rules = Rules(config, Users(config.mailbox, frozenset(config.file.local.users)))
    file = rules.tables.aliases.file
    try:
        text = Path(file).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        print(f"newaliases: cannot open {file}: No such file or directory")
        return EX_OK
    except OSError as error:
        raise TableError(f"{file}: cannot be read: {error.strerror}") from error
    aliases, problems = parse_aliases(text, file, rules.routing.is_local)
    for problem in problems:
        print(f"{file}: line {problem.line}: {problem.text}")
    tally = aliases.tally
    print(
        f"{file}: {tally.entries} aliases, longest {tally.longest_bytes} bytes,"
        f" {tally.total_bytes} bytes total"
    )
    return EX_OK if all(map(is_warning, problems)) else EX_SOFTWARE
