"""Names that our jobs go by at a neighbour.

    D.0001          the temporary name: the neighbour's key for restart and for doubles
    D.X0001         the same, of the X. file that follows the data of an execution
    D.alphaN0001    what the neighbour is asked to call the data: our name, the grade, the number
    X.alphaN0001    the same for the X. file

Old systems take no more than 14 characters, and know digits and upper-case letters: our name is cut
to what the rest leaves.
"""

from __future__ import annotations

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WIDTH = 4
_MAX_NAME = 14
_MAX_SYSTEM = 7

NUMBERS_OF_FOUR_DIGITS = 36**4


def digits(number: int) -> str:
    """A number in base 36, of four digits while they suffice."""
    text = ""
    while number or len(text) < _WIDTH:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text


def temp_name(number: int) -> str:
    """The temporary name of the job with this number."""
    return f"D.{digits(number)}"


def x_temp_name(number: int) -> str:
    """The temporary name of that job's X. file."""
    return f"D.X{digits(number)}"


def remote_name(letter: str, system: str, grade: str, number: int) -> str:
    """What a neighbour is asked to call data (`letter` D) or an X. file (X) of ours."""
    tail = grade + digits(number)
    room = min(_MAX_SYSTEM, _MAX_NAME - len(letter) - 1 - len(tail))
    return f"{letter}.{system[:room]}{tail}"


def first_number(now: float) -> int:
    """Where a store begins to count for a neighbour it has not known.

    Not at 1: a neighbour keeps marks of what it has received, and a spool that was lost and made
    anew must not offer other files under the same names, or they would be taken for doubles.
    """
    return int(now) % NUMBERS_OF_FOUR_DIGITS
