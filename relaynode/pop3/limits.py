"""Every bound of the POP3 cores: its value, its unit and its reason. Nothing grows beyond these."""

from __future__ import annotations

# --- what a client accepts ------------------------------------------------------------------

# RFC 2449 section 4 allows 512 bytes, line end included; servers in the field write longer texts.
# It bounds status lines and the lines of listings, never the lines of a message.
MAX_LINE_BYTES = 2048

# A maildrop of a million messages is somebody's mistake or an attack on our memory and time.
MAX_LISTING_ITEMS = 1_000_000

# Capability lines in one answer to CAPA, which is the only answer a client keeps as a whole.
MAX_CAPABILITIES = 500

# RFC 1939 section 7 allows 70; longer ones are in use. Beyond this nobody need store them.
MAX_UID_BYTES = 255

# A message is handed on in pieces no larger than this, whatever the size of the reads.
MAX_PIECE_BYTES = 65_536

# Replies owed at one time. A window of a few hundred fills any line; this only stops a runaway.
MAX_OUTSTANDING = 100_000

# RFC 2449 section 4: a command, CRLF included. Decides whether AUTH takes its response along.
MAX_AUTH_COMMAND_BYTES = 255

# --- what a server accepts ------------------------------------------------------------------

# RFC 2449 section 4 asks for 255 bytes, line end included; long names and passwords need more.
MAX_COMMAND_BYTES = 512

# RFC 5034 section 4: the longest response that a mechanism has. A Kerberos ticket is longer than a
# name and a password; so many bytes RFC 4954 has for SMTP.
MAX_SASL_LINE_BYTES = 12288

# Pipelined commands that wait for the driver's answer to an earlier one.
MAX_PENDING_BYTES = 65_536

# Replies that wait to be written before the next command is carried out: a client that asks for
# one listing after the other and reads none fills its own line, not our memory.
MAX_REPLIES_BYTES = 65_536

# Commands that are unknown, misspelt, too long or out of place before the line is dropped.
MAX_ERRORS = 20

# Refused logins before the line is dropped: guessing passwords shall cost a connection each time.
MAX_FAILED_LOGINS = 3

# RFC 2449 section 4: a status line that we write, line end included.
MAX_REPLY_BYTES = 512
