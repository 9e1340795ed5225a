"""Which folders a request may reach."""

from pathlib import Path

import pytest

from relaynode.uucico.folders import is_allowed

PUBLIC = Path("/srv/public")


@pytest.mark.parametrize(
    ("path", "folders", "allowed"),
    [
        ("/srv/public/x", ["~"], True),
        ("/srv/public", ["~"], True),
        ("/srv/publicity/x", ["~"], False),
        ("/srv/public/in/x", ["~/in"], True),
        ("/srv/public/out/x", ["~/in"], False),
        ("/etc/passwd", ["~"], False),
        ("/etc/passwd", ["/"], True),
        ("/etc/passwd", ["/", "!/etc"], False),
        ("/etc/motd", ["!/etc", "/"], True),
        ("/srv/public/private/x", ["~", "!~/private"], False),
        ("/srv/public/../../etc/passwd", ["~", "/"], False),
        ("srv/public/x", ["/", "~"], False),
        ("/home/joe/x", ["~joe"], False),
        ("/srv/public/x", [], False),
        ("/srv/public/x", [""], False),
    ],
)
def test_the_last_entry_that_applies_counts(path, folders, allowed):
    assert is_allowed(Path(path), folders, PUBLIC) is allowed
