"""The decisions: where mail goes, who may relay, what addresses look like outside. Pure.

Every decision comes with its trail, the look-ups that led to it: `relaynode explain`, the logs and
"why is this still queued?" print the same one.
"""
