"""Visits to accounts where mail waits for us, one file a protocol: POP3, ODMR.

All that is fetched goes into the queue through `fetched.py` (ODMR: through the SMTP source). Two
protocols never import each other.
"""
