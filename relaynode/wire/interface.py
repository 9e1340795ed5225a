"""What the kernel has counted on a network interface: all that crosses a line, whoever sent it.

Linux: /sys/class/net/NAME/statistics (Documentation/ABI/testing/sysfs-class-net-statistics). The
BSDs: `netstat -I NAME -b -n`, whose columns are found by their titles, for systems differ in them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NETSTAT_SECONDS = 5.0
LINUX_COUNTERS = Path("/sys/class/net")


def interface_bytes(name: str) -> int | None:
    """Bytes of both ways since the interface is there; None while it is not."""
    return _of_linux(name) if sys.platform == "linux" else _of_netstat(name)


def _of_linux(name: str) -> int | None:
    folder = LINUX_COUNTERS / name / "statistics"
    try:
        return sum(int((folder / one).read_text()) for one in ("rx_bytes", "tx_bytes"))
    except (OSError, ValueError):
        return None


def _of_netstat(name: str) -> int | None:
    try:
        ended = subprocess.run(
            ["netstat", "-I", name, "-b", "-n"],
            capture_output=True,
            text=True,
            timeout=NETSTAT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return bytes_of_netstat(ended.stdout, name)


def bytes_of_netstat(text: str, name: str) -> int | None:
    """Ibytes and Obytes of the interface's own line, the one that names its link.

    Name    Mtu Network       Address              Ipkts Ierrs Idrop     Ibytes    Opkts ...
    tun0   1500 <Link#3>      tun0                   812     0     0     418201      790 ...
    """
    title, *rows = text.splitlines() or [""]
    columns = title.split()
    if "Ibytes" not in columns or "Obytes" not in columns:
        return None
    for row in rows:
        words = row.split()
        if words and words[0].rstrip("*") == name and any("<Link" in word for word in words):
            # An interface without an address has a column less: count from the end.
            places = [columns.index(one) - len(columns) for one in ("Ibytes", "Obytes")]
            try:
                return sum(int(words[place]) for place in places)
            except (IndexError, ValueError):
                return None
    return None
