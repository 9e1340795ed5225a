"""The classic names: what `sendmail`, `mailq`, `newaliases`, `hoststat` and `purgestat` start.

    python -m relaynode.cli.classic NAME [options] [recipients]

The name decides what is done when no -b says otherwise, as with sendmail's own links.
"""

from __future__ import annotations

import sys

from relaynode.cli.sendmail import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], sys.argv[1]))
