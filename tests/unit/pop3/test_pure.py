from __future__ import annotations

import ast
from pathlib import Path

import pytest

from relaynode import pop3

FILES = sorted(Path(pop3.__file__).parent.glob("*.py"))
FORBIDDEN = {"asyncio", "io", "os", "pathlib", "socket", "ssl", "subprocess", "threading", "time"}
ALLOWED_ROOMS = ("relaynode.errors", "relaynode.mail", "relaynode.pop3", "relaynode.sasl")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_protocol_core_imports_no_io_and_no_room_above_it(path: Path) -> None:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    assert not [name for name in names if name.partition(".")[0] in FORBIDDEN]
    ours = [name for name in names if name.startswith("relaynode")]
    assert all(name.startswith(ALLOWED_ROOMS) for name in ours)
