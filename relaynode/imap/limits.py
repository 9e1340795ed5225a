"""Every bound of the IMAP client: value, unit and reason. Nothing grows beyond these."""

from __future__ import annotations

# One line of a response, literals apart: what ESEARCH finds in a large mailbox with many gaps is
# one. All others are far shorter, and SEARCH is read number by number.
MAX_LINE_BYTES = 1_048_576

# A literal that is no message: a mailbox name, a header field we did not ask for.
MAX_HELD_LITERAL_BYTES = 65_536

# Lines and held literals of one response together; and how many literals it may have.
MAX_RESPONSE_BYTES = 2_097_152
MAX_LITERALS = 100

# RFC 3501 section 9: body structures nest as mail does. Nobody's does more deeply.
MAX_DEPTH = 50

# What SEARCH may find, and items of one listing: more messages than that is an attack.
MAX_LISTING_ITEMS = 1_000_000

# Responses nobody asked for, between two completions of commands. Servers tell of what others
# do in a mailbox; never that much.
MAX_UNTAGGED = 1_000_000
MAX_UNASKED = 10_000

# Capabilities that are remembered.
MAX_CAPABILITIES = 500

# Data of a message is handed on in pieces no larger than this.
MAX_PIECE_BYTES = 65_536

# What is unpacked of compressed data before the driver gets events: 1 KiB can hold 1 MiB.
MAX_UNPACKED_BYTES = 65_536

# Commands without an answer. A few dozen fill any line; this only stops a runaway.
MAX_OUTSTANDING = 10_000

# RFC 7888 section 4: what LITERAL- lets go without asking.
MAX_SMALL_LITERAL_BYTES = 4096

# RFC 7162 section 4 asks servers to take 8192 bytes a command line; sets are cut to this.
MAX_SET_BYTES = 4000
