"""Does a server's text say that a refusal will pass? For servers that give no code with it.

Being wrong costs little: a refusal that is taken to pass is tried again, one that is taken to stay
keeps an account from being polled until somebody looks. So what is in doubt passes.
"""

from __future__ import annotations

import re

_PASSING = re.compile(
    r"""too\ many | try\ (?:again|later) | later | temporar | in\ use | \block(?:ed)?\b | busy
    | unavailable | not\ available | timed?[\ -]?out | quota | maximum | exceeded | interval
    | internal\ error | server\ error | system\ error | maintenance | overload | connection
    | concurrent | simultaneous | frequen | minutes | seconds""",
    re.IGNORECASE | re.VERBOSE,
)


def sounds_passing(text: str) -> bool:
    """Whether it speaks of a state, and not of a wrong name or password."""
    return _PASSING.search(text) is not None
