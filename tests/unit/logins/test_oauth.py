"""Access tokens are fetched when they must be; a rotated refresh token survives every crash."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from peers.token_server import TokenServer
from relaynode.errors import NoSecret
from relaynode.logins.oauth import MARGIN_SECONDS, CommandTokens, RefreshedTokens, refresh
from relaynode.logins.token_file import TokenFile
from relaynode.logins.token_server import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "isp.refresh"
    found.touch(mode=0o600)
    found.write_text("refresh-0\n")
    return found


def endpoint_of(server: TokenServer) -> Callable[[], Endpoint]:
    return lambda: Endpoint("isp", server.url, "relaynode", timeout_seconds=5.0)


def tokens(server: TokenServer, path: Path, clock: Callable[[], float]) -> RefreshedTokens:
    return RefreshedTokens(endpoint_of(server), TokenFile(path), clock)


def test_a_token_is_fetched_when_there_is_none_or_it_is_about_to_expire(path: Path) -> None:
    clock = Clock()
    with TokenServer(lifetime_seconds=3600) as server:

        async def go() -> None:
            known = tokens(server, path, clock)
            assert server.requests == [], "nothing is fetched before it is needed"
            assert await known.token() == "access-0"
            clock.now += 3600 - MARGIN_SECONDS - 1
            assert await known.token() == "access-0"
            clock.now += 1
            assert await known.token() == "access-1"

        asyncio.run(go())
        assert len(server.requests) == 2


def test_those_who_ask_at_the_same_time_share_a_fetch(path: Path) -> None:
    with TokenServer(rotates=True) as server:

        async def go() -> list[str]:
            known = tokens(server, path, Clock())
            return await asyncio.gather(*(known.token() for _ in range(5)))

        assert asyncio.run(go()) == ["access-0"] * 5


def test_a_refused_token_is_renewed_once_for_all_who_had_it(path: Path) -> None:
    with TokenServer() as server:

        async def go() -> None:
            known = tokens(server, path, Clock())
            assert await known.token() == "access-0"
            assert await known.renewed("access-0") == "access-1"
            assert await known.renewed("access-0") == "access-1"
            assert await known.token() == "access-1"

        asyncio.run(go())
        assert len(server.requests) == 2


def test_a_fetch_that_fails_is_tried_again_by_the_next_who_asks(path: Path) -> None:
    with TokenServer(refresh_token="another") as server:

        async def go() -> None:
            known = tokens(server, path, Clock())
            with pytest.raises(NoSecret, match="invalid_grant"):
                await known.token()
            server.refresh_token = "refresh-0"
            assert await known.token() == "access-0"

        asyncio.run(go())


def test_a_command_knows_itself_when_to_get_another() -> None:
    printed = iter(["a", "a", "b"])

    class Prints:
        async def get(self) -> str:
            return next(printed)

    async def go() -> None:
        known = CommandTokens(Prints())
        assert await known.token() == "a"
        assert await known.renewed("a") is None
        assert await known.renewed("a") == "b"

    asyncio.run(go())


# --- rotation


def test_a_rotated_token_is_on_the_disk_before_the_access_token_is_given(path: Path) -> None:
    with TokenServer(rotates=True) as server:
        assert refresh(endpoint_of(server), TokenFile(path)).access_token == "access-0"
        assert path.read_text() == "refresh-1\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert refresh(endpoint_of(server), TokenFile(path)).access_token == "access-1"
        assert path.read_text() == "refresh-2\n"
    assert sorted(one.name for one in path.parent.iterdir()) == [".isp.refresh.lock", "isp.refresh"]


def test_a_token_that_stays_good_is_not_written(path: Path) -> None:
    before = path.stat()
    with TokenServer() as server:
        refresh(endpoint_of(server), TokenFile(path))
    assert path.stat() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_noticed_before_the_token_is_spent(
    path: Path,
) -> None:
    path.parent.chmod(0o500)
    with TokenServer(rotates=True) as server:
        with pytest.raises(NoSecret):
            refresh(endpoint_of(server), TokenFile(path))
        assert server.requests == []


def test_room_that_cannot_be_made_is_noticed_before_the_token_is_spent(path: Path) -> None:
    path.with_name(".isp.refresh.new").mkdir()
    with TokenServer(rotates=True) as server:
        with pytest.raises(NoSecret, match="cannot be written"):
            refresh(endpoint_of(server), TokenFile(path))
        assert server.requests == []
    assert path.read_text() == "refresh-0\n"


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    path.chmod(0o644)
    with TokenServer() as server:
        with pytest.raises(NoSecret, match="can be read by others"):
            refresh(endpoint_of(server), TokenFile(path))
        assert server.requests == []


def test_who_waits_for_another_refresh_takes_what_that_one_wrote(path: Path) -> None:
    with TokenServer(rotates=True) as server:

        async def go() -> None:
            await asyncio.gather(
                asyncio.to_thread(refresh, endpoint_of(server), TokenFile(path)),
                asyncio.to_thread(refresh, endpoint_of(server), TokenFile(path)),
            )

        asyncio.run(go())
        assert [one["refresh_token"] for one in server.requests] == ["refresh-0", "refresh-1"]
        assert path.read_text() == "refresh-2\n"


def test_a_rotated_token_is_written_through_in_the_order_that_a_power_cut_allows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        done.append(f"fsync {'folder' if name == path.parent.name else name}")
        fsync(descriptor)

    def renamed(old: Path, new: Path) -> Path:
        done.append(f"rename {old.read_text().strip()}")
        return rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    with TokenServer(rotates=True, before_answer=lambda: done.append("answer")) as server:
        refresh(endpoint_of(server), TokenFile(path))
    new = ".isp.refresh.new"
    assert done == [
        f"fsync {new}",
        "answer",
        f"fsync {new}",
        "rename refresh-1",
        "fsync folder",
    ]


DISK_CALLS = ["open", "write", "fsync", "rename"]


def dying(monkeypatch: pytest.MonkeyPatch, call: str, nth: int) -> None:
    """From now on this process is killed at the nth `call` of the refresh."""
    count = 0
    owner: Any = Path if call == "rename" else os
    real = getattr(owner, call)

    def die(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)

    monkeypatch.setattr(owner, call, die)


@pytest.mark.parametrize("call", DISK_CALLS)
@pytest.mark.parametrize("nth", range(1, 6))
def test_killed_at_any_disk_call_the_old_token_or_the_new_one_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    used = path.parent / "used"
    with TokenServer(rotates=True) as server:
        where = endpoint_of(server)
        pid = os.fork()
        if pid == 0:
            dying(monkeypatch, call, nth)
            try:
                granted = refresh(where, TokenFile(path))
                if granted.access_token:
                    used.symlink_to("us")  # neither open nor write, which may be deadly
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        kept = path.read_text()
        assert kept in ("refresh-0\n", "refresh-1\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        if used.is_symlink():
            assert kept == "refresh-1\n", "the access token was used before"
        # What is on the disk is good for the next try, whatever lies beside it; where the server
        # has rotated and we died before its answer was on the disk, no client could know.
        server.refresh_token = kept.strip()
        monkeypatch.undo()
        assert refresh(where, TokenFile(path)).access_token
        assert path.read_text().strip() == server.refresh_token


@pytest.mark.parametrize(("call", "nth"), [("fsync", 2), ("rename", 1), ("write", 2)])
def test_a_disk_that_fails_gives_no_access_token(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    owner: Any = Path if call == "rename" else os
    real = getattr(owner, call)
    count = 0

    def fail(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(28, "No space left on device")
        return real(*arguments, **more)

    with TokenServer(rotates=True) as server:
        monkeypatch.setattr(owner, call, fail)
        with pytest.raises(NoSecret, match="cannot be kept: No space left"):
            refresh(endpoint_of(server), TokenFile(path))
    assert path.read_text() == "refresh-0\n"
