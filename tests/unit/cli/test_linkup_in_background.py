"""`linkup --background`: whoever calls it is not kept."""

import os

from nodes import TestNode
from relaynode.cli.main import main

SECTIONS = """
[link.isp]
kind = "dial"
up_command = ["sh", "-c", "read -r _ <{folder}/gate; echo dialled >{folder}/end"]
"""


def test_it_returns_while_the_run_goes_on(tmp_path):
    for name in ("gate", "end"):
        os.mkfifo(tmp_path / name)
    node = TestNode(tmp_path, SECTIONS)
    assert main(["--config", str(node.path), "linkup", "--background"]) == 0
    (tmp_path / "gate").write_text("go\n")
    assert (tmp_path / "end").read_text() == "dialled\n"
