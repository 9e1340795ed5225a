"""What a DSN says to people, in their language: one file of texts for each.

The machine-readable part, the transcript's replies and the header's fixed words stay as they are:
programs read them. The English texts are sendmail's own layout, which filters know.
"""

from __future__ import annotations

from relaynode.mail.dsn_words.de import GERMAN
from relaynode.mail.dsn_words.en import ENGLISH
from relaynode.mail.dsn_words.es import SPANISH
from relaynode.mail.dsn_words.fr import FRENCH
from relaynode.mail.dsn_words.ja import JAPANESE
from relaynode.mail.dsn_words.pt import PORTUGUESE
from relaynode.mail.dsn_words.words import Words

LANGUAGES: dict[str, Words] = {
    "en": ENGLISH,
    "ja": JAPANESE,
    "de": GERMAN,
    "es": SPANISH,
    "fr": FRENCH,
    "pt": PORTUGUESE,
}
"""By the code of ISO 639 that `[node] language` takes."""

__all__ = ["LANGUAGES", "Words"]
