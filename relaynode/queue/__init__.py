"""The one durable queue: messages, claims, retry times, the seen-lists and the links' states.

`store.py` is the interface, `sqlite.py` its embedded home and `memory.py` the twin for tests.
"""
