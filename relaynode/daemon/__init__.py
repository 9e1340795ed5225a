"""The running daemon: `daemon.py`, and its control socket (`control.py` is what is said on it)."""
