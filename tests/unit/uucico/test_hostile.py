"""Whatever a neighbour says: an answer, nothing outside the public folder, no error but ours."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import RemoteProtocolError
from relaynode.neighbours import Terms
from relaynode.queue.memory import MemoryStore
from relaynode.uucico import commands
from relaynode.uucico.executor import Executor, ExecutorSettings
from relaynode.uucico.session_work import SessionWork
from relaynode.uucico.terms import SessionTerms
from relaynode.uucp.commands import Code, Execute, Fetch, Garbled, RemoteCopy, Send, parse
from relaynode.uucp.names import Forbidden, public_path, target_of

WORDS = st.sampled_from(
    """~ / .. . ~/ ~/x ~/../x ~root/x /etc/passwd ../x x/../../y D.x D.0 D.0001 X.x C.x D../x X..
    D.a=b -o ALL rmail sh /bin/sh uucp uux a!b ~/out/ ~/link/x ~/link ~/file/x \\057 \\000 "" -
    -CdfmnRNZq 0644 0x10 0xffffffffffffffff 99999999999999999999 beta!x beta!/x é""".split()
)
BYTES = st.binary(max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape"))
WORD = st.one_of(WORDS, BYTES)
NAME = st.one_of(WORD, WORD.map(lambda word: f"~/{word}"))
SIZE = st.sampled_from(["", "0x0", "0x5", "0xffffffffffffffff", "x"])
REQUEST = st.builds(
    "{} {} {} {} -{} {} 0644 {} {} {}".format,
    st.sampled_from("SSSERX"),
    NAME,
    NAME,
    WORD,
    st.text("CdfmnRNZq", max_size=4),
    st.sampled_from(["D.0", "D.0001", "D.0002", "../x", "X.0001"]),
    st.sampled_from(['""', "bob", "é"]),
    SIZE,
    WORD,
)
LINE = st.lists(WORD, min_size=1, max_size=10).map(" ".join)


def wire(text):
    return text.encode("utf-8", "surrogateescape")


def outside(folder):
    """All that is there but the public folder and the spool, and what the link leads to."""
    return sorted(
        str(path)
        for path in folder.rglob("*")
        if not path.is_relative_to(folder / "public") and not path.is_relative_to(folder / "spool")
    )


async def converse(folder, lines, data):
    """Put all requests to a work as a session would, then run what came of them."""
    public = folder / "public"
    public.mkdir()
    (folder / "elsewhere").mkdir()
    (public / "link").symlink_to(folder / "elsewhere")
    (public / "file").write_text("x")
    terms = Terms(
        our_name="alpha", public=public, commands=("rmail",), command_path=(), min_free_bytes=0
    )
    store = MemoryStore(folder / "spool")
    post = _NoPost(store)
    work = await SessionWork.open(
        SessionTerms("beta", terms, False, folder / "spool"),
        store,
        post,
        may_run=lambda command: commands.is_permitted(command, terms),
    )
    for line in lines:
        _one(work, line, data, str(public))
        await asyncio.sleep(0)
    await work.close()
    executor = Executor(
        store, lambda name: terms, post, ExecutorSettings(folder / "spool/work", "a"), clock=_clock
    )
    await executor.run_due()
    await store.close()


def _clock():
    return 1_800_000_000.0


class _NoPost:
    def __init__(self, store):
        self._store = store

    async def send(self, letter, settled=None):
        assert letter.text.isascii()
        if settled is not None:
            await self._store.uucp.settle(settled)


def _one(work, line, data, public):
    try:
        request = parse(wire(line))
    except RemoteProtocolError:
        return
    if isinstance(request, Garbled):
        return
    if isinstance(request, Send | Execute):
        target = target_of(request.target, request.source, public)
        if isinstance(target, Forbidden):
            return
        sink = work.offered(request, target)
        if not isinstance(sink, Code):
            sink.write(sink.position, data)
            sink.commit(sink.position + len(data))
    elif isinstance(request, Fetch):
        path = public_path(request.source, request.source, public)
        if not isinstance(path, Forbidden):
            opened = work.wanted(request, path)
            assert isinstance(opened, Code) or opened.source.read(0, 1) == b"x"
            work.fetched(request, True)
    elif isinstance(request, RemoteCopy):
        work.copy_wanted(request)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(REQUEST, min_size=1, max_size=6),
    data=st.one_of(st.binary(max_size=50), st.lists(LINE, max_size=6).map("\n".join).map(wire)),
)
def test_requests_of_any_kind_reach_nothing_outside(lines, data):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(converse(folder, lines, data))
        assert outside(folder) == [str(folder / "elsewhere")]


X_LINE = st.tuples(st.sampled_from("CUIFORZNnBeEMQ#C"), LINE).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(content=st.lists(X_LINE, max_size=8).map("\n".join).map(wire))
def test_execution_files_of_any_kind_run_nothing_that_is_not_allowed(content):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = ["S x D.x u -C D.0002 0644", "S x X.betaN0001 u -C D.0001 0644"]
        asyncio.run(converse(folder, lines[:1], b"data"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(converse(folder, lines[1:], content))
        assert outside(folder) == [str(folder / "elsewhere")]


TERMS = Terms(our_name="alpha", public=Path("/srv/public"), commands=("rmail", "uux", "echo"))


@given(st.lists(WORD, max_size=6))
def test_every_command_is_judged(words):
    if commands.is_permitted(words, TERMS):
        assert words[0] in TERMS.commands
        assert not any("\0" in word or "\n" in word for word in words)
