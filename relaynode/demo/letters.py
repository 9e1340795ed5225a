"""Letters as people write them, made of a list of words: the same for the same seed.

Lines like "xxxx" would shrink to nothing in a compressed batch, random bytes not at all; neither
says what a line carries of real mail. Common words are common here and rare ones rare, there are
names, dates and quotations, and a header with the fields that programs put there. gzip leaves
about as much of one such letter, and of several together, as it does of English prose.
"""

from __future__ import annotations

import random
from itertools import accumulate

WIDTH = 72

_COMMON = """
the of and to a in that is was it for on with he as you do at this by not are but from or had an
they which one we all were her she there would their will when if no more out so said what up its
about into than them can only other new some could time these two may then first any my now such
like our over me even most made after also did many before must through back years where much your
way well down should because each just those people how too little state good very make world still
own see men work long get here between both life being under never day same another know while last
might us great old year off come since against go came right used take three
""".split()

_USUAL = """
modem line letter message address number machine printer disk window session folder archive garden
kitchen office station harbour island weather summer winter morning evening weekend ticket train
journey bridge market school teacher student library chapter picture camera engine battery antenna
cable signal noise filter circuit voltage repair supplier invoice contract meeting budget report
draft version release change feature problem reason answer question decision proposal committee
member region country border village mountain river forest coffee dinner bread recipe music concert
record theatre actor novel poem history museum painting science theory measure temperature pressure
sample result figure table column margin error accident hospital doctor medicine patient visit
""".split()

_STEMS = """
act adjust advance agree arrange assist attend bargain behave borrow calculate cancel collect
compare complain complete confirm connect consider construct correct debate declare defend deliver
demand depend describe design develop differ direct discover divide encourage entertain establish
examine exchange expect explain explore express gather govern guard handle harvest imagine improve
include inform inspect install intend introduce invent invite judge manage mention notice object
observe obtain offer operate organise perform permit persuade prepare present preserve prevent
produce promise protect publish receive recommend recover reduce regard relate remain remember
remove replace represent request resist respond restore reveal satisfy select separate serve settle
shorten simplify specify suggest support suspect transfer translate travel understand
""".split()

_ENDINGS = ("", "s", "ed", "ing", "er", "ers", "ment", "able", "ion")
_NAMES = "Ann Bob Carl Dora Emil Fay Gus Hanna Ivo Jane Kurt Lea Max Nora Otto Pia".split()
_WORDS = [*_COMMON, *_USUAL, *(stem + ending for ending in _ENDINGS for stem in _STEMS)]
_WEIGHTS = list(accumulate(1 / (rank + 3) for rank in range(len(_WORDS))))


class _Writer:
    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)

    def words(self, count: int) -> list[str]:
        return self._chance.choices(_WORDS, cum_weights=_WEIGHTS, k=count)

    def sentence(self) -> str:
        words = self.words(self._chance.randint(6, 18))
        if self._chance.random() < 0.15:
            words.insert(self._chance.randrange(len(words)), str(self._chance.randrange(2, 4000)))
        if self._chance.random() < 0.25:
            words.insert(self._chance.randrange(1, len(words)), self._chance.choice(_NAMES))
        if len(words) > 10:
            words[len(words) // 2] += ","
        text = " ".join(words)
        return text[0].upper() + text[1:] + self._chance.choice("....?!")

    def paragraph(self) -> list[str]:
        is_quoted = self._chance.random() < 0.2
        prefix = "> " if is_quoted else ""
        text = " ".join(self.sentence() for _ in range(self._chance.randint(2, 5)))
        lines = [""]
        for word in text.split(" "):
            if len(lines[-1]) + len(word) >= WIDTH - len(prefix):
                lines.append("")
            lines[-1] += f" {word}" if lines[-1] else word
        return [prefix + line for line in lines]

    def header(self, sender: str, recipient: str, subject: str) -> list[str]:
        day = self._chance.randint(1, 28)
        time = "{:02}:{:02}:{:02}".format(*(self._chance.randrange(n) for n in (24, 60, 60)))
        mark = self._chance.randrange(16**8)
        host = sender.partition("@")[2] or "localhost"
        return [
            f"From: {sender.partition('@')[0].capitalize()} <{sender}>",
            f"To: {recipient}",
            f"Subject: {subject}",
            f"Date: {day} Nov 2026 {time} +0100",
            f"Message-ID: <{mark:08x}.{day}{time.replace(':', '')}@{host}>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=us-ascii",
            "Content-Transfer-Encoding: 7bit",
        ]


def letter(seed: str, sender: str, recipient: str, subject: str, size_bytes: int) -> bytes:
    """A letter with LF line ends, of `size_bytes` to the byte if that is enough for its header."""
    writer = _Writer(seed)
    text = "\n".join([*writer.header(sender, recipient, subject), "", ""])
    while len(text) < size_bytes:
        text += "\n".join([*writer.paragraph(), "", ""])
    return (text[: size_bytes - 1].rstrip("\n").ljust(size_bytes - 1, ".") + "\n").encode()
