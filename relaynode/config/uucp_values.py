"""Values of the UUCP configuration, the same for relaynode.toml and for Taylor's files.

They say what was configured. What is done with them stands elsewhere: calls in `wire`, chat
scripts and sessions in `uucp`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relaynode.config.timestring import ANY, TimeString
from relaynode.config.values import HostPort

UUCP_PORT = 540

LETTERS = "itegGvfjya"
"""Line protocols there are, by letter."""

LOWEST_GRADE = "z"
_GRADE = re.compile("[0-9A-Za-z]")

Parameters = Mapping[str, Mapping[str, str]]
"""Protocol parameters: by letter, by name, as texts."""


# --- times and grades


def is_grade(text: str) -> bool:
    """Grades are `0` (first of all) to `9`, `A` to `Z`, `a` to `z`."""
    return bool(_GRADE.fullmatch(text))


@dataclass(frozen=True, slots=True)
class GradeTime:
    """Hours in which jobs of a grade, or a better one, may go.

    `retry_minutes`: how long to wait after a call that failed; None: longer each time.
    """

    times: TimeString = ANY
    grade: str = LOWEST_GRADE
    retry_minutes: int | None = None

    @classmethod
    def parse(cls, text: str) -> GradeTime:
        """`[GRADE] TIMES [RETRY-MINUTES]`. Raises: ValueError."""
        words = text.split()
        grade = words.pop(0) if len(words) > 1 and is_grade(words[0]) else LOWEST_GRADE
        if not 1 <= len(words) <= 2:
            raise ValueError(f'"{text}" is not [GRADE] TIMES [MINUTES]: write "C Wk0800-1700 10"')
        retry = words[1] if len(words) == 2 else None
        if retry is not None and not (retry.isascii() and retry.isdigit() and len(retry) < 7):
            raise ValueError(f'"{retry}" is no number of minutes')
        return cls(TimeString.parse(words[0]), grade, int(retry) if retry else None)

    def __str__(self) -> str:
        grade = "" if self.grade == LOWEST_GRADE else f"{self.grade} "
        retry = "" if self.retry_minutes is None else f" {self.retry_minutes}"
        return f"{grade}{self.times}{retry}"


ALWAYS = (GradeTime(),)


@dataclass(frozen=True, slots=True)
class MailGrade:
    """The grade of mail that has at least so many bytes."""

    grade: str
    from_bytes: int = 0

    @classmethod
    def parse(cls, text: str) -> MailGrade:
        """`GRADE [BYTES]`. Raises: ValueError."""
        grade, *sizes = text.split() or [""]
        is_size = all(one.isascii() and one.isdigit() and len(one) < 16 for one in sizes)
        if not is_grade(grade) or len(sizes) > 1 or not is_size:
            raise ValueError(f'"{text}" is not GRADE [BYTES]: write "C", "N 20000"')
        return cls(grade, int(sizes[0]) if sizes else 0)

    def __str__(self) -> str:
        return f"{self.grade} {self.from_bytes}" if self.from_bytes else self.grade


MAIL_GRADE = MailGrade("C")
"""What sendmail and Exim give to mail; uux's own is N, news has d."""


# --- protocols and certificates


@dataclass(frozen=True, slots=True)
class Parameter:
    """A protocol parameter: `LETTER NAME VALUE`."""

    letter: str
    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Parameter:
        """Raises: ValueError."""
        words = text.split()
        if len(words) != 3 or words[0] not in tuple(LETTERS):
            raise ValueError(f'"{text}" is not LETTER NAME VALUE: write "i window 16"')
        return cls(*words)

    def __str__(self) -> str:
        return f"{self.letter} {self.name} {self.value}"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """SHA-256 of a certificate in DER, in lower-case hexadecimal."""

    digits: str

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """With or without `sha256:` and colons, as openssl prints it. Raises: ValueError."""
        digits = text.strip().lower().removeprefix("sha256:").replace(":", "")
        if not re.fullmatch("[0-9a-f]{64}", digits):
            raise ValueError(
                f'"{text}" is no SHA-256 fingerprint: 64 hexadecimal digits, as'
                " openssl x509 -noout -fingerprint -sha256 prints them"
            )
        return cls(digits)

    def __str__(self) -> str:
        return self.digits


# --- chat scripts


@dataclass(frozen=True, slots=True)
class ChatScript:
    """An expect / send list as it is written; `uucp/chat.py` runs it.

    `words`: expect, send, expect, send ... `fails`: what ends it when it is seen.
    `timeout_seconds`: for each expect. `program`: a command with arguments that is run before it.
    """

    words: tuple[str, ...] = field(default=(), repr=False)  # people write passwords there
    timeout_seconds: int = 60
    fails: tuple[str, ...] = ()
    is_seven_bit: bool = True
    program: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.program)


@dataclass(frozen=True, slots=True)
class ChatText:
    """The words of a chat script as relaynode.toml has them, in one text.

    They are not shown: people write passwords there.
    """

    words: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ChatText:
        """Raises: ValueError."""
        words = tuple(text.split())
        if not words:
            raise ValueError("no chat script: write 'ogin: \\L word: \\P', or '\"\"' for none")
        return cls(words)

    def __str__(self) -> str:
        return " ".join(self.words)


LOGIN_CHAT_SECONDS = 10
LOGIN_CHAT = ChatScript(
    ('""', r"\r\c", "ogin:-BREAK-ogin:-BREAK-ogin:", r"\L", "word:", r"\P"), LOGIN_CHAT_SECONDS
)
"""What Taylor does where nothing is said: fit for a terminal line."""

PROMPTED_CHAT = ChatScript(("ogin:", r"\L\r\P"), LOGIN_CHAT_SECONDS)
"""For lines whose other end speaks first: TCP and TLS. There the password may follow at once: it
waits in the connection until it is asked for, and a round trip is saved."""

NO_CHAT = ChatScript()


# --- serial lines and modems


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """A tty. `speed`: bit/s, None as it is. `lock_name`: "" the usual one, LCK..DEVICE."""

    device: str
    speed: int | None = None
    has_hardflow: bool = True
    has_carrier: bool = False
    lock_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer:
    """How a modem is told to dial. `dialtone`, `pause`: what `=` and `-` in a number become.

    `has_carrier`: it tells by the carrier signal whether it is connected, after
    `carrier_wait_seconds` at the latest.
    """

    name: str
    chat: ChatScript = NO_CHAT
    dialtone: str = ","
    pause: str = ","
    has_carrier: bool = True
    carrier_wait_seconds: int = 60
    has_dtr_toggle: bool = False
    complete: ChatScript = NO_CHAT
    abort: ChatScript = NO_CHAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Modem:
    """A modem on a line. `dialers`: each with its token, run one after the other.

    A token is what `\\D` and `\\T` stand for: `\\D` is the neighbour's number, `\\T` the same
    translated. `dialcodes`: what letters at a number's beginning become. `attempts`: how often a
    number is dialled before the call has failed, `redial_seconds` apart.
    """

    name: str
    line: SerialLine
    dialers: tuple[tuple[Dialer, str], ...]
    dialcodes: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1
    redial_seconds: int = 1


# --- ways to call


@dataclass(frozen=True, slots=True)
class TcpCall:
    """A connection in the clear. `version`: 4 or 6 where only one of them is wanted."""

    host: str
    port: int = UUCP_PORT
    version: int = 0

    def __str__(self) -> str:
        return f"tcp:{HostPort(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class TlsCall:
    """A connection under TLS from the start. There is no usual port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tls:{HostPort(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class PipeCall:
    """A program whose standard input and output are the line. No shell is involved."""

    command: tuple[str, ...]

    def __str__(self) -> str:
        return f"pipe:{shlex.join(self.command)}"


@dataclass(frozen=True, slots=True)
class DirectCall:
    """A serial line without a modem."""

    line: SerialLine

    def __str__(self) -> str:
        return f"direct:{self.line.device}"


@dataclass(frozen=True, slots=True)
class ModemCall:
    """A number, dialled by a modem."""

    modem: Modem
    number: str

    def __str__(self) -> str:
        return f"modem:{self.modem.name},{self.number}"


Call = TcpCall | TlsCall | PipeCall | DirectCall | ModemCall


@dataclass(frozen=True, slots=True)
class CallText:
    """A way to call as relaynode.toml has it, where a modem is only named.

    `tcp:HOST[:PORT]`, `tls:HOST:PORT`, `pipe:COMMAND`, `modem:NAME,NUMBER` or
    `direct:DEVICE[,SPEED]`.
    """

    text: str
    call: TcpCall | TlsCall | PipeCall | DirectCall | None
    modem: str = ""
    number: str = ""

    @classmethod
    def parse(cls, text: str) -> CallText:
        """Raises: ValueError."""
        kind, colon, rest = text.partition(":")
        rest = rest.strip()
        if kind == "modem" and rest:
            modem, comma, number = rest.partition(",")
            if not comma or not modem or not number.strip():
                raise ValueError(f'"{text}" lacks a number: write "modem:usb0,5551234"')
            return cls(text, None, modem.strip(), number.strip())
        if not colon or kind not in _KINDS or not rest:
            raise ValueError(f'"{text}" is no way to call: write {_FORMS}')
        return cls(text, _KINDS[kind](rest))

    def __str__(self) -> str:
        return self.text


def _tcp(text: str) -> TcpCall:
    return TcpCall(*HostPort.parse(text).with_default(UUCP_PORT))


def _tls(text: str) -> TlsCall:
    where = HostPort.parse(text)
    if where.port is None:
        raise ValueError(f'"tls:{text}" lacks a port: there is no usual one')
    return TlsCall(where.host, where.port)


def _pipe(text: str) -> PipeCall:
    try:
        return PipeCall(tuple(shlex.split(text)))
    except ValueError as error:
        raise ValueError(f'"pipe:{text}": {error}') from error


def _direct(text: str) -> DirectCall:
    device, comma, speed = text.partition(",")
    if comma and not (speed.isascii() and speed.isdigit() and 0 < len(speed) < 9):
        raise ValueError(f'"direct:{text}": "{speed}" is no speed')
    return DirectCall(SerialLine(device=device, speed=int(speed) if speed else None))


_KINDS: dict[str, Callable[[str], TcpCall | TlsCall | PipeCall | DirectCall]] = {
    "tcp": _tcp,
    "tls": _tls,
    "pipe": _pipe,
    "direct": _direct,
}
_FORMS = (
    '"tcp:host:540", "tls:host:port", "pipe:ssh host uucico", "modem:NAME,NUMBER" or'
    ' "direct:/dev/ttyS0,115200"'
)


# --- what holds in a session


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """The largest file in certain calls. `by_us`: that we asked to be sent or fetched."""

    when_calling: bool
    by_us: bool
    max_bytes: int
    times: TimeString = ANY


DEFAULT_COMMANDS = ("rnews", "rmail")
DEFAULT_COMMAND_PATH = ("/bin", "/usr/bin", "/usr/local/bin")
