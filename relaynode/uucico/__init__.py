"""What a UUCP session works on: jobs and files out of the queue and into it, and what is executed.

The session itself knows none of this (`uucp/`); who opens the line and drives it stands above.
"""
