"""What the history of a message says, in words the homes of the store share."""

from __future__ import annotations

IN_DOUBT_TEXT = "may have been accepted: the line was lost before the final reply"
INTERRUPTED_TEXT = "may have been accepted: the delivering process died"
MAY_HAVE_RUN_TEXT = "may have been done: the process that ran it died"
BROKE_TEXT = "the process that was working on it died"
POISON_TEXT = "it broke us three times"
OPERATOR_TEXT = "by the operator"
