"""The list of rooms in the README is true: imports point down, and pure rooms do no I/O."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "relaynode"
FORBIDDEN_IN_PURE = {"socket", "asyncio", "threading", "ssl", "subprocess", "time"}
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\| (yes|no) \|$", re.MULTILINE)


def rooms():
    """Room -> (what it may import, whether it is pure), in the order of the README."""
    table = (ROOT / "README.md").read_text().partition("## Architecture")[2]
    return {name: (set(may.split()), pure == "yes") for name, may, pure in ROW.findall(table)}


def room_of(module):
    return module.split(".")[1] if module.startswith("relaynode.") else ""


def files_of(room):
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


def imports(path):
    """All modules a file imports, for types too, with the names taken from the package itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "relaynode":
                yield from (f"relaynode.{alias.name}" for alias in node.names)
            else:
                yield node.module


def test_the_readme_lists_every_room():
    found = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.name not in ("__init__.py", "__main__.py", "__pycache__", "py.typed")
    }
    assert set(rooms()) == found


def test_what_a_room_may_import_stands_above_it_in_the_list():
    above = set()
    for room, (may_import, _) in rooms().items():
        assert may_import <= above, room
        above.add(room)


@pytest.mark.parametrize("room", list(rooms()))
def test_imports_point_down(room):
    may_import, _ = rooms()[room]
    for path in files_of(room):
        for module in imports(path):
            if not module.startswith("relaynode.") or module == "relaynode.__version__":
                continue
            if (room, module) == ("errors", "relaynode.mail.status"):
                continue  # a type only: stated in the README
            assert room_of(module) in may_import | {room}, f"{path.relative_to(ROOT)}: {module}"


@pytest.mark.parametrize("room", [room for room, (_, is_pure) in rooms().items() if is_pure])
def test_pure_rooms_do_no_io(room):
    for path in files_of(room):
        used = {module.partition(".")[0] for module in imports(path)}
        assert not used & FORBIDDEN_IN_PURE, path
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "open" not in calls, path


@pytest.mark.parametrize("room", ["mailers", "sources", "polls"])
def test_two_ways_in_or_out_never_import_each_other(room):
    shared = {
        "mailers": {
            "mailer",
            "outgoing",
            "users",
            "mailbox",
            "as_user",
            "by_program",
            "run_as",
            "as_others",
            "monitor_words",
            "process",
            "stored",
            "locals",
            "safe_open",
            "in_threads",
            "uucp_form",
            "smtp_hop",
            "same_for_all",
            "smtp_desk",
            "smtp_dialogue",
            "smtp_opening",
            "smtp_connections",
            "smtp_session",
            "smtp_reports",
            "smtp_supply",
            "smtp_transaction",
            "smtp_window",
            "smtp_login",
        },
        "sources": {
            "crowd",
            "intake",
            "filters",
            "letter",
            "local_filters",
            "milter_session",
            "patience",
            "quota",
            "recent_logins",
            "sendmail_options",
            "sendmail_settings",
            "smtp_filtering",
            "smtp_desk",
            "smtp_dialogue",
            "smtp_door",
            "smtp_gate",
            "smtp_guard",
            "smtp_questions",
            "smtp_transaction",
            "uucp_incoming",
            "verify",
        },
        "polls": {
            "account",
            "choice",
            "content",
            "fetched",
            "imap_folder",
            "imap_login",
            "imap_removal",
            "imap_session",
            "imap_transfer",
            "marks",
            "notice",
            "oversized",
            "poll",
            "pop3_dialogue",
            "pop3_listing",
            "pop3_opening",
            "pop3_visit",
            "refusals",
        },
    }[room]
    for path in files_of(room):
        if path.stem == "monitor_acts":
            continue  # in which all that deliver as users meet, as root
        for module in imports(path):
            if module.startswith(f"relaynode.{room}."):
                assert module.split(".")[2] in shared, f"{path}: {module}"
