"""SMTP as two state machines without I/O: `server.Session` and `client.Client` (RFC 5321).

Feed bytes, take events, give answers, take bytes to send. Nothing here opens, sleeps or reads a
clock.
"""
