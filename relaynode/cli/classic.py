"""The classic names: what `sendmail`, `mailq`, `uucico`, `fetchmail` and the others start.

    python -m relaynode.cli.classic NAME [options] [arguments]

Of sendmail's own names, the name decides what is done when no -b says otherwise.
"""

from __future__ import annotations

import importlib
import sys

FAST_UUCP_NAMES = tuple("rmail rsmtp bsmtp rcsmtp cbsmtp rgsmtp rbsmtp rzsmtp".split())
"""Commands for mail that neighbours have run."""

_HOMES = {
    "uucico": "relaynode.cli.uucico_name",
    "uux": "relaynode.cli.uux",
    "uucp": "relaynode.cli.uucp",
    "uuname": "relaynode.cli.uuname",
    "uustat": "relaynode.cli.uustat",
    "uulog": "relaynode.cli.uulog",
    "uuxqt": "relaynode.cli.uuxqt",
    "fetchmail": "relaynode.cli.fetchmail",
    **dict.fromkeys(FAST_UUCP_NAMES, "relaynode.cli.rmail"),
}
"""Of the names that are not sendmail's."""

if __name__ == "__main__":
    home = importlib.import_module(_HOMES.get(sys.argv[1], "relaynode.cli.sendmail"))
    sys.exit(home.main(sys.argv[2:], sys.argv[1]))
