"""`relaynode import`: TOML on one stream, what is to be known on the other."""

import tomllib

import pytest

from relaynode.cli.main import main
from relaynode.errors import EX_NOINPUT, EX_OK, EX_USAGE


def test_the_toml_is_printed_and_the_notes_are_told_by_kind(tmp_path, capsys):
    mc = tmp_path / "x.mc"
    mc.write_text(
        "VERSIONID(`x')\nMASQUERADE_AS(`example.net')\nFOO(`x')\nTRUST_AUTH_MECH(`PLAIN')\n"
    )
    assert main(["import", "sendmail", str(mc)]) == EX_OK
    out, err = capsys.readouterr()
    assert tomllib.loads(out)["masquerade"] == {"as": "example.net"}
    assert err.startswith(f"not understood:\n  {mc}:3: FOO: not understood\ndiffers:\n")
    assert f"{mc}:4: TRUST_AUTH_MECH: not read yet" in err
    assert err.endswith(f"needs no setting:\n  {mc}:1: VERSIONID: a remark\n")


def test_a_file_in_an_old_character_set_is_read(tmp_path, capsys):
    mc = tmp_path / "x.mc"
    mc.write_bytes(b"dnl Gr\xfc\xdfe\nMASQUERADE_AS(`example.net')\n")
    assert main(["import", "sendmail", str(mc)]) == EX_OK
    assert 'as = "example.net"' in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_told(tmp_path, capsys):
    assert main(["import", "sendmail", str(tmp_path / "none.mc")]) == EX_NOINPUT
    assert "none.mc: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["sendmail"], ["exim", "x"]])
def test_a_wrong_command_line_is_a_usage_error(words):
    with pytest.raises(SystemExit) as stop:
        main(["import", *words])
    assert stop.value.code == EX_USAGE
