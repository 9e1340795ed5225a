"""The ways mail comes in, one file each. All of them end in `intake.py`, and so in the queue.

Two sources never import each other.
"""
