"""UUCP as state machines without I/O: login, handshake, line protocols, commands, sessions."""
