"""IMAP without I/O, the client's side. Pure: bytes in, bytes and events out.

    limits.py       every bound of this room, with its unit and reason
    states.py       the states of a session and the one table of legal moves
    events.py       what the client tells its driver
    values.py       atoms, strings and lists of a response that is complete
    reader.py       how bytes become responses; literals of messages pass through
    codes.py        response codes, and what a refusal means
    writing.py      arguments as they are written: strings, sets of numbers
    names.py        names of mailboxes, in modified UTF-7
    compression.py  DEFLATE, both ways
    commands.py     what a client can say, and when
    client.py       Client, for polling an account: how it reads

RFC 3501 and RFC 9051 (IMAP), RFC 2177 (IDLE), RFC 4315 (UIDPLUS), RFC 4731 (ESEARCH), RFC 4959
(SASL-IR), RFC 4978 (COMPRESS), RFC 5530 (response codes), RFC 6851 (MOVE), RFC 7888 (LITERAL+ and
LITERAL-). Not done: ENABLE, ID, NAMESPACE, and all that changes mailboxes but flags and moves.
"""
