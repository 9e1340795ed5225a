"""The line protocols, one a file; all of them fulfil `line.Line`."""
