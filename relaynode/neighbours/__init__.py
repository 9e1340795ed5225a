"""The neighbours: relaynode.toml and Taylor's files as one view, for drivers and policies to ask.

Not here: what the files look like (`config`), how a line is opened (`wire`), what is said on it
(`uucp`).
"""

from relaynode.neighbours.loading import load_neighbours
from relaynode.neighbours.neighbour import Answer, Neighbour, Terms, Tls, Way
from relaynode.neighbours.neighbours import Neighbours

__all__ = ["Answer", "Neighbour", "Neighbours", "Terms", "Tls", "Way", "load_neighbours"]
