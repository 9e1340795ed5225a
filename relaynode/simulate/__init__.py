"""What would happen to mail over given links, played in virtual time. Pure: no clock, no I/O, no
chance that a seed does not decide.
"""
