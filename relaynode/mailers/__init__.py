"""The ways mail goes out, one file each. A mailer pulls deliveries and reports attempts.

Two mailers never import each other; they meet in the queue.
"""
