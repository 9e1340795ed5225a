"""An IMAP server in memory that is honest, and as small as it can be; and a line that breaks."""

import asyncio
import re
import zlib
from dataclasses import dataclass, field

from relaynode.errors import LineLost
from relaynode.wire.memory import pair

CAPABILITIES = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS MOVE ESEARCH COMPRESS=DEFLATE AUTH=PLAIN"


@dataclass
class Mail:
    content: bytes
    flags: set = field(default_factory=set)
    listed_bytes: int | None = None

    @property
    def size(self):
        return len(self.content) if self.listed_bytes is None else self.listed_bytes


@dataclass
class Box:
    """Folders: UID -> Mail. `uid_is_late`: a FETCH tells the UID behind the content."""

    folders: dict = field(default_factory=lambda: {"INBOX": {}})
    validity: int = 7
    capabilities: str = CAPABILITIES
    greets_with_them: bool = True
    tells_at_login: bool = False
    uid_is_late: bool = False
    password: str = "secret"
    next_uid: int = 1
    said: list = field(default_factory=list)
    sessions: int = 0
    current: bytes = b""
    idling: list = field(default_factory=list)

    async def tell(self):
        """Those who idle that there is mail."""
        for session in self.idling:
            await session.write(b"* %d EXISTS\r\n" % len(session.folder))

    def put(self, content, folder="INBOX", **more):
        self.folders.setdefault(folder, {})[self.next_uid] = Mail(content, **more)
        self.next_uid += 1
        return self.next_uid - 1

    def flights(self):
        """What was said, one list for what was read at once."""
        return [[line.split(b" ", 1)[1].decode() for line in lines] for lines in self.said]


class Session:
    def __init__(self, box, stream):
        self.box, self.stream = box, stream
        self.packer = self.unpacker = None
        self.folder = None

    async def run(self):
        told = f"[CAPABILITY {self.box.capabilities}] " if self.box.greets_with_them else ""
        try:
            await self.write(f"* OK {told}ready\r\n".encode())
            rest = b""
            while True:
                data = await self.stream.read()
                if not data:
                    return
                rest += self.unpacker.decompress(data) if self.unpacker else data
                *lines, rest = rest.split(b"\r\n")
                self.box.said.append(lines)
                for line in lines:
                    self.box.current = line
                    tag, verb, words = (*line.split(b" ", 2), b"")[:3]
                    if verb.upper() == b"UID":
                        verb, words = words.split(b" ", 1)
                        verb = b"UID_" + verb
                    answer = getattr(self, verb.decode().lower().replace("-", "_"))
                    text = await answer(words)
                    await self.write(tag + b" " + (text or b"OK done") + b"\r\n")
                    if verb == b"COMPRESS" and text.startswith(b"OK"):
                        self.packer = zlib.compressobj(wbits=-15)
                        self.unpacker = zlib.decompressobj(wbits=-15)
                    if verb == b"LOGOUT":
                        await self.stream.close()
                        return
        except LineLost:
            pass

    async def write(self, data):
        if self.packer:
            data = self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH)
        await self.stream.write(data)

    # --- commands

    async def capability(self, _):
        await self.write(b"* CAPABILITY " + self.box.capabilities.encode() + b"\r\n")

    async def login(self, words):
        if f'"{self.box.password}"'.encode() not in words:
            return b"NO [AUTHENTICATIONFAILED] no"
        if self.box.tells_at_login:
            return f"OK [CAPABILITY {self.box.capabilities}] in".encode()
        return b"OK in"

    async def authenticate(self, words):
        return b"OK"

    async def compress(self, _):
        if "COMPRESS" not in self.box.capabilities:
            return b"BAD"
        return b"OK now"

    async def noop(self, _):
        pass

    async def idle(self, _):
        await self.write(b"+ idling\r\n")
        self.box.idling.append(self)
        line = await self.stream.read()
        self.box.idling.remove(self)
        return b"OK done" if line == b"DONE\r\n" else b"BAD what"

    async def logout(self, _):
        await self.write(b"* BYE\r\n")

    async def select(self, words):
        name = words.strip(b'"').decode()
        if name not in self.box.folders:
            self.folder = None
            return b"NO [NONEXISTENT] no such folder"
        self.folder = self.box.folders[name]
        await self.write(
            b"* %d EXISTS\r\n* OK [UIDVALIDITY %d]\r\n" % (len(self.folder), self.box.validity)
        )
        return b"OK open"

    examine = select

    async def uid_search(self, words):
        if words.startswith(b"RETURN"):
            numbers = b",".join(b"%d" % uid for uid in self.folder)
            await self.write(b'* ESEARCH (TAG "x") UID ALL ' + (numbers or b"") + b"\r\n")
        else:
            await self.write(b"* SEARCH" + b"".join(b" %d" % uid for uid in self.folder) + b"\r\n")

    def among(self, text):
        if self.folder is None:
            return []
        found = set()
        last = max(self.folder, default=0)
        for part in text.split(b","):
            first, _, end = part.partition(b":")
            ends = [last if one == b"*" else int(one) for one in (first, end or first)]
            found |= {uid for uid in self.folder if min(ends) <= uid <= max(ends)}
        return sorted(found)

    async def uid_fetch(self, words):
        if self.folder is None:
            return b"BAD no folder"
        uids, what = words.split(b" ", 1)
        for uid in self.among(uids):
            mail = self.folder[uid]
            number = sorted(self.folder).index(uid) + 1
            if b"BODY" not in what:
                flags = " ".join(sorted(mail.flags)).encode()
                values = b"UID %d RFC822.SIZE %d FLAGS (%b)" % (uid, mail.size, flags)
            else:
                values = self.content(uid, mail, what)
            await self.write(b"* %d FETCH (%b)\r\n" % (number, values))
        return b"OK fetched"

    def content(self, uid, mail, what):
        part = re.search(rb"<(\d+)\.(\d+)>", what)
        content, name = mail.content, b"BODY[]"
        if b"HEADER" in what:
            content, name = content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", b"BODY[HEADER]"
        if part:
            start, count = int(part[1]), int(part[2])
            content, name = content[start : start + count], b"BODY[]<%d>" % start
        body = b"%b {%d}\r\n%b" % (name, len(content), content)
        return body + b" UID %d" % uid if self.box.uid_is_late else b"UID %d " % uid + body

    async def uid_store(self, words):
        uids, _, flags = words.split(b" ", 2)
        for uid in self.among(uids):
            self.folder[uid].flags |= set(flags.strip(b"()").decode().split())

    async def uid_expunge(self, words):
        self.remove(uid for uid in self.among(words) if "\\Deleted" in self.folder[uid].flags)

    async def expunge(self, _):
        self.remove(uid for uid, mail in self.folder.items() if "\\Deleted" in mail.flags)

    def remove(self, uids):
        for uid in list(uids):
            del self.folder[uid]

    async def uid_copy(self, words, *, keeps=True):
        uids, name = words.split(b" ", 1)
        target = self.box.folders.get(name.strip(b'"').decode())
        if target is None:
            return b"NO [TRYCREATE] no such folder"
        for uid in self.among(uids):
            target[self.box.next_uid] = self.folder[uid]
            self.box.next_uid += 1
            if not keeps:
                del self.folder[uid]
        return b"OK there"

    async def uid_move(self, words):
        return await self.uid_copy(words, keeps=False)


@dataclass
class Line:
    """Opens streams to a box. `cut`: after so many bytes down, or up, the line breaks, once."""

    box: Box
    cut_down: int | None = None
    cut_up: int | None = None
    down: int = 0
    up: int = 0
    serving: list = field(default_factory=list)

    async def open(self):
        ours, theirs = pair("mail.example", "us")
        self.box.sessions += 1
        self.serving.append(asyncio.ensure_future(Session(self.box, theirs).run()))
        return Cut(self, ours)


@dataclass
class Cut:
    line: Line
    inner: object
    peer: str = "mail.example [192.0.2.1]"

    async def read(self, timeout=None):
        data = await self.inner.read(timeout)
        line = self.line
        if line.cut_down is not None and line.down + len(data) > line.cut_down:
            data = data[: line.cut_down - line.down]
            self.inner.abort()
            if not data:
                raise LineLost("cut")
        line.down += len(data)
        return data

    async def write(self, data, timeout=None):
        line = self.line
        if line.cut_up is not None and line.up + len(data) > line.cut_up:
            await self.inner.write(data[: line.cut_up - line.up])
            self.inner.abort()
            raise LineLost("cut")
        line.up += len(data)
        await self.inner.write(data, timeout)

    def backlog(self):
        return 0

    async def start_tls(self, *_):
        pass

    async def close(self):
        await self.inner.close()

    def abort(self):
        self.inner.abort()
