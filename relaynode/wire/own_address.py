"""Is an address one of this machine's? Asked of the kernel, which knows them all."""

from __future__ import annotations

import socket


def is_own_address(address: str) -> bool:
    """Does this machine have the IP address now?"""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))  # nobody may call himself what he is not
    except OSError:
        return False
    return True
