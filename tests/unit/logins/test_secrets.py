"""Secrets out of commands, systemd's credentials and keyrings: had, or refused by name."""

from __future__ import annotations

import asyncio
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peers.processes import wait_until
from relaynode.config.values import Command, Password
from relaynode.errors import NoSecret
from relaynode.logins.secrets import OfCommand, OfCredential, OfFile, OfKeyring

if TYPE_CHECKING:
    from relaynode.logins.secrets import Secret

LONG = 20.0


def got(secret: Secret) -> str:
    return asyncio.run(secret.get())


def refusal(secret: Secret) -> str:
    with pytest.raises(NoSecret) as caught:
        got(secret)
    assert caught.value.status.is_temporary, "mail waits until somebody has mended it"
    assert caught.value.__cause__ is None
    return str(caught.value)


def command(*words: str, seconds: float = LONG) -> OfCommand:
    return OfCommand(Command(words), "password_command", seconds)


def shell(script: str, seconds: float = LONG) -> OfCommand:
    return command("/bin/sh", "-c", script, seconds=seconds)


def test_a_file_was_read_before() -> None:
    assert got(OfFile(Password("sesame"))) == "sesame"


@pytest.mark.parametrize(
    ("printed", "secret"),
    [
        ("sesame", "sesame"),
        ("sesame\\nurl: x\\n", "sesame"),
        ("s\\303\\251same\\r\\n", "sésame"),
        (" a b \\n", " a b "),
    ],
)
def test_the_first_line_that_a_command_prints_is_the_secret(printed: str, secret: str) -> None:
    assert got(shell(f"printf '{printed}'")) == secret


def test_no_shell_comes_between() -> None:
    assert got(command("/bin/echo", "$HOME; `id`")) == "$HOME; `id`"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo sesame; exit 3", "exit code 3"),
        ("echo sesame; kill -9 $$", "killed by signal 9"),
        ("true", "no password in its first line"),
        ("printf '\\n'", "no password"),
        ("printf '\\377'", "no UTF-8"),
        ("head -c 100000 /dev/zero | tr '\\000' s", "no password"),
        ("echo sesame >&2; exit 1", "exit code 1"),
    ],
)
def test_a_command_that_fails_is_named_and_not_quoted(script: str, told: str) -> None:
    text = refusal(shell(script))
    assert told in text
    assert "password_command /bin/sh" in text
    assert "sesame" not in text


def test_a_command_that_is_not_there_is_named() -> None:
    text = refusal(command("/none"))
    assert text.startswith("password_command /none: ")
    assert "cannot be run: No such file" in text


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ > {pids}; echo sesame; wait"
    assert "took more than 0.3 s" in refusal(shell(script, 0.3))
    begun = pids.read_text().split() if pids.exists() else []
    assert wait_until(lambda: not any(map(is_running, begun)), 10)


def is_running(pid: str) -> bool:
    """Or has it ended, even if nobody has looked yet?"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_credential_of_systemd_is_a_file_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "isp").write_text("sesame\nmore\n")
    (tmp_path / "isp").chmod(0o440)  # as systemd does: the group is an access list's mask
    assert got(OfCredential("isp", {"CREDENTIALS_DIRECTORY": str(tmp_path)})) == "sesame"
    assert "LoadCredential=other" in refusal(
        OfCredential("other", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    )
    assert "LoadCredential=" in refusal(OfCredential("isp", {}))


def test_a_keyring_is_asked_for_service_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise RuntimeError("sesame")
        return {("isp", "ann"): "sesame"}.get((service, user))

    library = types.SimpleNamespace(get_password=get_password)
    monkeypatch.setitem(sys.modules, "keyring", library)  # type: ignore[arg-type]
    assert got(OfKeyring("isp", "ann")) == "sesame"
    assert "keyring set isp bob" in refusal(OfKeyring("isp", "bob"))
    assert "RuntimeError" in (text := refusal(OfKeyring("locked", "ann")))
    assert "sesame" not in text


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install relaynode[keyring]" in refusal(OfKeyring("isp", "ann"))
