"""The words of a query that can name a picture."""

from __future__ import annotations

import re
import unicodedata

MAX_WORDS = 32  # the first ones of a long query

# Words of a sentence that name nothing: a picture is not found because a folder is called "the".
_FUNCTION_WORDS = """
    a about above across after against all along also am among an and another any are around as at be because been
    before behind being below beneath beside between both but by can could did do does doing down during each for from
    had has have having he her hers him his how i if in inside into is it its itself me my near next no nor not of off
    on onto or other our out outside over per she so some such than that the their them then there these they this
    those through to together toward towards under underneath up upon us very was we were what when where which while
    who whose with within without you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def asked_words(text: str) -> tuple[str, ...]:
    """The words of a query without function words, each once: ``A dog, in the park`` → ``dog``, ``park``.

    Names such as ``IMG_1234`` and ``t-shirt`` are one word.
    """
    found = re.findall(r"[\w'’.-]+", unicodedata.normalize("NFC", text))
    words = {word.casefold(): word for word in found if any(char.isalnum() for char in word)}
    return tuple(word for key, word in words.items() if key not in FUNCTION_WORDS)[:MAX_WORDS]
