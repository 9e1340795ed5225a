"""The fast way of `sendmail` and `rmail`: hands the message to the daemon and ends.

Cron and every script call the one, and uuxqt the other for each mail, so it costs hardly more than
starting Python: the launcher that `relaynode install-names` writes runs `python -I -S`, and finds
this file without importing the package around it. Nothing is imported here but `_socket` and
`posix`. It only finds the daemon's socket; the daemon understands the options, and the kernel tells
it who is calling. Whatever is not a plain submission, or needs more than this file knows, goes the
whole way (cli/sendmail.py, cli/rmail.py) before a byte of standard input is read.

The request's form is described in daemon/control.py.
"""

import posix

TYPE_CHECKING = False  # typing's own would be imported
if TYPE_CHECKING:
    import _socket

EX_TEMPFAIL = 75
PIECE_BYTES = 65536
_WHOLE_WAY = (b"-b", b"-q", b"-C", b"-I", b"-d", b"-Q")
_FLAGS = b"EGIJTUcimnstvx"


def main(arguments: list[bytes], whole_way: list[str]) -> None:
    """Submit and exit. `whole_way`: the command that does all that this cannot, without options;
    its last word is the program's name."""
    program = whole_way[-1].encode()
    if program not in (b"sendmail", b"send-mail"):
        connection = _connect()
        if connection is not None:
            machine = posix.environ.get(b"UU_MACHINE", b"")
            _submit(connection, program, b"rmail", [machine, program, *arguments])
    elif _is_plain(arguments):
        connection = _connect()
        if connection is not None:
            _submit(connection, b"sendmail", b"submit", arguments)
    posix.execv(whole_way[0], [word.encode() for word in whole_way] + arguments)


def _is_plain(arguments: list[bytes]) -> bool:
    """A submission: no other mode, and no option joined to another in a way that hides one."""
    if not arguments:
        return False
    for word in arguments:
        if word == b"--":
            return True
        if word == b"-bm":
            continue
        if word.startswith(_WHOLE_WAY):
            return False
        # Flags before a mode in one word (-tbs): rare, and not worth understanding here.
        if word[:1] == b"-" and word[1:2] in _FLAGS and word[2:] and word.strip(b"-it"):
            return False
    return True


def _connect() -> "_socket.socket | None":
    """The daemon's socket, connected; None without a daemon or if it is not where it usually is."""
    path = _control_path()
    if path is None:
        return None
    try:
        import _socket
    except ImportError:  # this Python is not the one the launcher was made for
        return None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return None
    return connection


def _control_path() -> bytes | None:
    environ = posix.environ
    home = environ.get(b"HOME")
    named = environ.get(b"RELAYNODE_CONFIG")
    places = (
        [named]
        if named
        else [
            (environ.get(b"XDG_CONFIG_HOME") or (home or b"") + b"/.config")
            + b"/relaynode/relaynode.toml",
            b"/etc/relaynode/relaynode.toml",
        ]
    )
    for place in places:
        text = _read(place)
        if text is not None:
            spool = _spool(text, place, home)
            return None if spool is None else spool + b"/control"
    return None


def _read(path: bytes) -> bytes | None:
    try:
        file = posix.open(path, posix.O_RDONLY)
    except OSError:
        return None
    text = posix.read(file, 65536)
    posix.close(file)
    return text


def _spool(text: bytes, place: bytes, home: bytes | None) -> bytes | None:
    """[node] spool, if it is written in the plainest way; None for the whole way to find out."""
    table = b""
    for line in text.split(b"\n"):
        line = line.strip()
        if line.startswith(b"["):
            table = line
        elif table == b"[node]" and line.startswith(b"spool"):
            key, _, value = line.partition(b"=")
            quoted = value.strip().split(b'"')
            rest = quoted[2].strip() if len(quoted) == 3 else b"?"
            if (
                key.strip() != b"spool"
                or quoted[0]
                or b"\\" in value
                or rest[:1] not in (b"", b"#")
            ):
                return None
            spool = quoted[1]
            if spool.startswith(b"~/") and home:
                return home + spool[1:]
            if spool.startswith(b"/"):
                return spool
            return place.rpartition(b"/")[0] + b"/" + spool if place.startswith(b"/") else None
    if posix.geteuid() == 0 or place.startswith(b"/etc/"):
        return b"/var/spool/relaynode"
    state = posix.environ.get(b"XDG_STATE_HOME") or (home + b"/.local/state" if home else None)
    return None if state is None else state + b"/relaynode"


def _submit(
    connection: "_socket.socket", program: bytes, verb: bytes, arguments: list[bytes]
) -> None:
    """Send it all, print the complaint, exit with the daemon's code."""
    answer = b""
    words = [verb, b"%d" % len(arguments), *arguments]
    waiting = b"".join([word + b"\0" for word in words])
    try:
        try:
            # A short message goes in one write: each write more would wake the daemon once more.
            piece = b"?"
            while piece:
                piece = posix.read(0, PIECE_BYTES)
                waiting += len(piece).to_bytes(4, "big") + piece
                if not piece or len(waiting) > PIECE_BYTES:
                    connection.sendall(waiting)
                    waiting = b""
        except OSError as error:
            # The daemon refused before the end, and says why; or our input cannot be read.
            if not isinstance(error, (BrokenPipeError, ConnectionResetError)):
                raise
        # Two NULs end it: the daemon's closing of the line need not be waited for.
        while answer.count(b"\0") < 2 and (data := connection.recv(4096)):
            answer += data
    except OSError as error:
        text = b"the daemon does not answer: %s" % str(error).encode()
        _exit(EX_TEMPFAIL, b"%s: %s" % (program, text), is_trouble=True)
    code, _, text = answer.partition(b"\0")
    if not text.endswith(b"\0"):
        # It may have queued the message; to try again may double it, not to may lose it.
        text = b"the daemon ended before it answered; the message may be queued"
        _exit(EX_TEMPFAIL, b"%s: %s" % (program, text), is_trouble=True)
    # What is said about the mail is output, as with sendmail; trouble of the program is not.
    is_trouble = verb != b"submit" or text.startswith(b"sendmail: ")
    _exit(int(code), text[:-1], is_trouble=is_trouble)


def _exit(code: int, text: bytes, *, is_trouble: bool) -> None:
    if text:
        posix.write(2 if is_trouble else 1, text + b"\n")
    posix._exit(code)
