"""What in tables can be read and still is not meant so: entries that never match, loops, nobody.

What cannot be read at all is told by the parsers in `tables/`. Here each entry is held against the
rest of the site: which domains are ours, who has a mailbox, what the settings ask for. One file a
table; `lint` goes through them all. Nothing here reads a file or asks the DNS.
"""

from relaynode.policy.lint.finding import Finding, Site
from relaynode.policy.lint.whole import lint

__all__ = ["Finding", "Site", "lint"]
