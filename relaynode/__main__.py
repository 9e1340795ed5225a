"""`python -m relaynode`."""

import sys

from relaynode.cli.main import main

sys.exit(main())
