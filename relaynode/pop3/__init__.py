"""POP3 without I/O, both sides of the dialogue. Pure: bytes in, bytes and events out.

    limits.py    every bound of this room, with its unit and reason
    states.py    the states of a session and the one table of legal moves
    events.py    what the two cores tell their drivers
    replies.py   how a client reads: status lines, response codes, multi-line answers
    client.py    Client, for polling an account
    maildrop.py  the messages of one session as a server lists and marks them
    top.py       where the answer to TOP ends
    server.py    Server, for handing out a maildrop

RFC 1939 (POP3), RFC 2449 (CAPA, PIPELINING, RESP-CODES), RFC 2595 (STLS), RFC 3206 (the SYS and
AUTH codes), RFC 5034 (AUTH). APOP is the client's alone. Not done: UTF8 and LANG of RFC 6856.
"""
