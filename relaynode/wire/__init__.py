"""Byte streams: TCP, TLS, the in-memory twin, the meter, and the emulated line.

Everything above reads and writes a `Stream` and never asks what carries it.
"""
