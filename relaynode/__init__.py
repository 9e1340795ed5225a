"""relaynode: a dial-up and UUCP store-and-forward mail node.

Nothing is imported here on purpose: the fast `sendmail` launcher passes through this file.
"""

__version__ = "0.1.0"
