"""The command line: `relaynode ...` and the classic names.

Nothing is imported here: the fast `sendmail` launcher passes through this file.
"""
