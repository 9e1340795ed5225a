"""Who may log in at us, over any protocol: the server's counterpart of `logins/`.

    answers.py        what one step of a login leads to
    hashes.py         secrets as they are stored: hashed, as SCRAM keys, or plain
    sha512_crypt.py   one of those hashes
    password_file.py  lines `user:secret`
    local.py          logins checked here, out of files and the configuration
    dovecot.py        logins checked by Dovecot's auth socket
    brake.py          who fails waits, and who fails often is not heard for a while
    plain_text.py     where passwords may be said without TLS
    accounts.py       all of it, as the listeners see it

Nothing here knows a protocol's lines, nor what a user may do once he is in.
"""
