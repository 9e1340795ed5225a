"""Readers of the classic table files, in their own grammar (sendmail's, cf/README and aliases(5)).

Parsing is pure: text in, a table and its problems out. `loader.py` alone reads files. A wrong line
is reported and left out, the others work; a file that cannot be read is an error, never "no entry".
"""
