"""What sessions log in with, and where it comes from.

A session asks its `Login` when it needs credentials, and not before: passwords out of files,
commands, systemd's credentials and keyrings (`secrets.py`), OAuth tokens (`oauth.py`), sendmail's
AuthInfo entries (`auth_info.py`). Nothing here blocks the event loop, and no error, repr or log
line shows a secret. How a login is played is `sasl`'s affair.
"""

from relaynode.logins.login import Known, Login
from relaynode.logins.logins import Logins

__all__ = ["Known", "Login", "Logins"]
