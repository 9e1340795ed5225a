"""All checks of tables, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaynode.policy.lint.access import lint_access
from relaynode.policy.lint.aliases import lint_aliases
from relaynode.policy.lint.finding import warning
from relaynode.policy.lint.genericstable import lint_genericstable
from relaynode.policy.lint.mailertable import lint_mailertable
from relaynode.policy.lint.relays import lint_relays
from relaynode.policy.lint.virtusertable import lint_virtusertable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relaynode.policy.lint.finding import Finding, Site


def lint(site: Site, settings_file: str = "relaynode.toml") -> list[Finding]:
    """What is odd in the tables of a site, file after file and in the order of lines.

    `settings_file` is named for what stands there.
    """
    found = list(lint_relays(site, settings_file))
    for check in (
        lint_mailertable,
        lint_virtusertable,
        lint_genericstable,
        lint_access,
        lint_aliases,
    ):
        found += sorted(check(site), key=lambda finding: finding.problem.line or 0)
    return found


def lint_line_ends(file: str, lines: Iterable[bytes]) -> Finding | None:
    """Whether a table's lines end in CR LF: such a CR is dropped here, and kept by sendmail."""
    for number, line in enumerate(lines, start=1):
        if line.endswith(b"\r\n"):
            what = "the line ends in CR LF, which sendmail takes for a part of the value"
            return warning(file, number, what, "save the file with LF line ends")
    return None
