"""Mail as values: addresses, envelopes, header lines, statuses and DSNs. Pure: no I/O, no clock."""
