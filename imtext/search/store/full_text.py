"""The words of all pictures in one full-text table of SQLite (FTS5), ranked by Okapi BM25.

Rows have the ids of pictures. They are written in the same transaction as pictures and files; a trigger removes them.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from imtext.search.facts import Facts
from imtext.search.results import FoundBy
from imtext.search.store.records import WordMatch
from imtext.search.words import folder_words, name_words

COLUMNS: dict[str, tuple[FoundBy, float]] = {  # column → what it is called in results, its weight
    "name": ("file name", 8.0),
    "folder": ("folder", 3.0),
    "title": ("title", 10.0),
    "caption": ("caption", 4.0),
    "keywords": ("keywords", 8.0),
    "text": ("text in the picture", 3.0),
}
COMMON = 10_000  # a word of more pictures tells none of them from the others, and would take long to rank

TABLE = (
    f"CREATE VIRTUAL TABLE words USING fts5 ({', '.join(COLUMNS)}, tokenize = 'unicode61 remove_diacritics 2')",
    "CREATE TRIGGER words_of_pictures AFTER DELETE ON pictures BEGIN DELETE FROM words WHERE rowid = old.id; END",
)

Select = Callable[[str, tuple[Any, ...]], Sequence[tuple[Any, ...]]]


def write_descriptions(db: sqlite3.Connection, facts: Mapping[bytes, Facts]) -> set[int]:
    """Write what people wrote about pictures, by content; texts that were read in them stay. Returns their ids."""
    written = set()
    for content, known in facts.items():
        described = (known.title, known.caption, known.keywords)
        for (id,) in db.execute("SELECT id FROM pictures WHERE content = ?", (content,)).fetchall():
            written.add(id)
            update = "UPDATE words SET title = ?, caption = ?, keywords = ? WHERE rowid = ?"
            if not db.execute(update, (*described, id)).rowcount:
                db.execute("INSERT INTO words (rowid, title, caption, keywords) VALUES (?, ?, ?, ?)", (id, *described))
    return written


def write_texts(db: sqlite3.Connection, texts: Mapping[bytes, str]) -> None:
    """Write the texts that were read in pictures, by content; of a picture that was not read, the text is NULL."""
    update = "UPDATE words SET text = ? WHERE rowid = (SELECT id FROM pictures WHERE content = ?)"
    db.executemany(update, ((text, content) for content, text in texts.items()))


def write_names(db: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Write the names of the files and folders that pictures are in now."""
    sources = [os.fsdecode(path) for (path,) in db.execute("SELECT path FROM sources")]
    for id in ids:
        rows = db.execute("SELECT path FROM files WHERE picture = ? ORDER BY path", (id,))
        paths = [os.fsdecode(path) for (path,) in rows]
        names = name_words(paths), folder_words(paths, sources)
        db.execute("UPDATE words SET name = ?, folder = ? WHERE rowid = ?", (*names, id))


def pictures_of(db: sqlite3.Connection, paths: Iterable[bytes]) -> set[int]:
    """The ids of the pictures that files have."""
    found = set()
    for path in paths:
        found |= {id for (id,) in db.execute("SELECT picture FROM files WHERE path = ?", (path,)) if id is not None}
    return found


def match(select: Select, words: Sequence[str]) -> list[WordMatch]:
    """Pictures that have at least one of the words, best first: with most of the words, then by BM25.

    Args:
        select: runs a statement with values.
        words: each is matched as a phrase, and never as a part of the query language.
    """
    phrases = [phrase(word) for word in words]
    having = [select("SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", (one, COMMON + 1)) for one in phrases]
    rare = [(one, rows) for one, rows in zip(phrases, having, strict=True) if len(rows) <= COMMON]
    counts = Counter(id for _, rows in rare for (id,) in rows)
    if not counts:
        return []
    any_word = " OR ".join(one for one, _ in rare)
    weights = ", ".join(str(weight) for _, weight in COLUMNS.values())
    ranked = select(f"SELECT rowid, bm25(words, {weights}) FROM words WHERE words MATCH ?", (any_word,))
    where: dict[int, tuple[FoundBy, ...]] = {}
    for column, (called, _) in COLUMNS.items():
        for (id,) in select("SELECT rowid FROM words WHERE words MATCH ?", (f"{{{column}}} : ({any_word})",)):
            where[id] = (*where.get(id, ()), called)
    ranked = sorted(ranked, key=lambda row: (-counts[row[0]], row[1]))  # BM25 of SQLite is negative, the best the least
    return [WordMatch(id, counts[id] / len(rare), where.get(id, ())) for id, _ in ranked if counts[id]]


def phrase(word: str) -> str:
    """A word as a string of the query language of FTS5: in it, no character has a meaning."""
    return '"{}"'.format(word.replace('"', '""').replace("\0", " "))
