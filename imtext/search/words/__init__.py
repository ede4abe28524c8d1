"""Words that belong to a picture: in the names of its files, and what was written into it; and the words of a query."""

from imtext.search.words.asked import asked_words
from imtext.search.words.described import Described, join
from imtext.search.words.names import folder_words, name_words

__all__ = ["Described", "asked_words", "folder_words", "join", "name_words"]
