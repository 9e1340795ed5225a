"""What the kernel counts on an interface."""

import sys

import pytest

from relaynode.wire import interface
from relaynode.wire.interface import bytes_of_netstat, interface_bytes

NETSTAT = """\
Name    Mtu Network       Address              Ipkts Ierrs Idrop     Ibytes    Opkts Oerrs     Obytes  Coll
em0    1500 <Link#1>      00:00:5e:00:53:01     9000     0     0    9000000     8000     0    8000000     0
tun0   1500 <Link#3>      tun0                   812     0     0     418201      790     0      90210     0
tun0      - 192.0.2.0/24  192.0.2.7              800     -     -     400000      780     -      90000     -
lo0*  16384 <Link#2>                               7     0     0         70        7     0         30     0
"""  # noqa: E501


def test_netstat_is_read_by_its_titles_from_the_line_of_the_interface_itself():
    assert bytes_of_netstat(NETSTAT, "tun0") == 418201 + 90210
    assert bytes_of_netstat(NETSTAT, "lo0") == 100  # down, and without an address
    assert bytes_of_netstat(NETSTAT, "ppp0") is None
    assert bytes_of_netstat("", "tun0") is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has these files")
def test_linux_tells_of_both_ways_in_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(interface, "LINUX_COUNTERS", tmp_path)
    folder = tmp_path / "ppp0" / "statistics"
    folder.mkdir(parents=True)
    (folder / "rx_bytes").write_text("300\n")
    (folder / "tx_bytes").write_text("40\n")
    assert interface_bytes("ppp0") == 340
    assert interface_bytes("ppp1") is None
