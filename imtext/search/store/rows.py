"""The rows of an index in one SQLite file: pictures, files and sources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, replace
from typing import Any

import numpy as np

from imtext.search.facts import Facts
from imtext.search.store.database import Database
from imtext.search.store.full_text import match, pictures_of, write_descriptions, write_names, write_texts
from imtext.search.store.records import File, Grid, Ids, Picture, Vectors, WordMatch
from imtext.search.store.schema import FACTS, GRIDS, HASHES, WORDS, connect, upgrade

BLOCK = 4096  # vectors read at once


class Rows(Database):
    """The tables of an index, in one SQLite file; see `Database`."""

    def version(self) -> int:
        """Version of the rows: a random number that every commit of pictures or files draws again."""
        return int(self._query("SELECT value FROM facts WHERE name = 'version'")[0][0])

    def count(self) -> int:
        """Number of different pictures that at least one file has."""
        return int(self._query("SELECT count(DISTINCT picture) FROM files")[0][0])

    def files(self, below: str | None = None) -> Iterator[File]:
        """All known files, or those below a folder, in order of path, including refused files."""
        where: str = ""
        values: tuple[bytes, ...] = ()
        if below is not None:
            # All paths that begin with the folder and a separator: a range of the key, whatever the name contains.
            prefix = os.fsencode(below.rstrip(os.sep) + os.sep)
            where, values = "WHERE path >= ? AND path < ?", (prefix, prefix[:-1] + bytes([prefix[-1] + 1]))
        rows = self._query(
            f"SELECT {self._file()} FROM files LEFT JOIN pictures ON pictures.id = files.picture {where} ORDER BY path",
            values,
        )
        for row in rows:
            yield _file(*row)

    def refused(self) -> dict[str, str]:
        """Path → reason of every known file that was refused."""
        rows = self._query("SELECT path, reason FROM files WHERE reason != '' ORDER BY path")
        return {os.fsdecode(path): reason for path, reason in rows}

    def _file(self) -> str:
        """The columns of a `File`; a file of an earlier version that was never written to by this one lacks some."""
        return f"path, size, mtime_ns, content, reason, {'ctime_ns, inode' if self._has(FACTS) else '0, 0'}"

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """The contents that already have a vector."""
        found: set[bytes] = set()
        for content in contents:
            found |= {row[0] for row in self._query("SELECT content FROM pictures WHERE content = ?", (content,))}
        return found

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
        texts: Mapping[bytes, str] | None = None,
    ) -> None:
        """Add pictures, add or update files, forget files; all or nothing. See `Store.commit`.

        Raises:
            StoreError: the store could not be written; nothing has changed.
        """
        files, removed = list(files), [os.fsencode(path) for path in gone]
        paths = [*(os.fsencode(file.path) for file in files), *removed]
        with self._transaction():
            upgrade(self._db)
            named = pictures_of(self._db, paths)
            before = self._db.total_changes
            for picture in pictures:
                self._add(picture)
            self._db.executemany(
                "INSERT INTO files (path, size, mtime_ns, picture, reason, ctime_ns, inode) "
                "VALUES (?, ?, ?, (SELECT id FROM pictures WHERE content = ?), ?, ?, ?) ON CONFLICT (path) DO UPDATE "
                "SET size = excluded.size, mtime_ns = excluded.mtime_ns, picture = excluded.picture, "
                "reason = excluded.reason, ctime_ns = excluded.ctime_ns, inode = excluded.inode",
                ((os.fsencode(file.path), *astuple(file)[1:]) for file in files),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO picture_facts SELECT id, ?, ?, ?, ?, ?, ?, ? FROM pictures WHERE content = ?",
                ((*astuple(known)[:7], content) for content, known in (facts or {}).items()),
            )
            self._db.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in removed))
            if sweep:
                self._db.execute(
                    "DELETE FROM pictures WHERE NOT EXISTS (SELECT 1 FROM files WHERE picture = pictures.id)"
                )
            if self._db.total_changes != before:
                # Not a counter: after a backup is restored, a counter would give different rows a version already used.
                self._db.execute("UPDATE facts SET value = random() WHERE name = 'version'")
            # Words are not part of the version: they are searched as of the last commit.
            described = write_descriptions(self._db, facts or {})
            write_names(self._db, named | described | pictures_of(self._db, paths))
            write_texts(self._db, texts or {})

    def _add(self, picture: Picture) -> None:
        vector = np.ascontiguousarray(picture.vector, "<f4").tobytes()
        added = self._db.execute(
            "INSERT OR IGNORE INTO pictures (content, vector) VALUES (?, ?)", (picture.content, vector)
        )
        if picture.grid is not None and added.rowcount:
            self._db.execute(GRIDS)  # only indexes with a re-ranker have this table
            grid = np.ascontiguousarray(picture.grid, "<f2").tobytes()
            self._db.execute("INSERT INTO grids VALUES (?, ?, ?)", (added.lastrowid, len(picture.grid), grid))

    def vectors(self) -> tuple[int, Ids, Iterator[Vectors]]:
        """The version, the ids of pictures that a file has, ascending, and their vectors in that order, in blocks.

        All come from one snapshot, even if other rows are committed while the blocks are read.
        """
        with self._errors("read"):
            reader = connect(self._address)
            reader.execute("BEGIN")
            version = int(reader.execute("SELECT value FROM facts WHERE name = 'version'").fetchone()[0])
            held = reader.execute("SELECT DISTINCT picture FROM files WHERE picture IS NOT NULL ORDER BY picture")
            ids = np.array([row[0] for row in held], dtype=np.int64)

        def blocks() -> Iterator[Vectors]:
            with self._errors("read"), closing(reader):
                rows = reader.execute("SELECT vector FROM pictures WHERE id IN (SELECT picture FROM files) ORDER BY id")
                while block := rows.fetchmany(BLOCK):
                    yield np.frombuffer(b"".join(row[0] for row in block), "<f4").reshape(len(block), self.embed_dim)

        return version, ids, blocks()

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        """Id → the files that have this picture, in alphabetical order; ids without files are left out."""
        found: dict[int, list[File]] = {}
        select = (
            f"SELECT picture, {self._file()} FROM files "
            "JOIN pictures ON pictures.id = files.picture WHERE picture IN ({}) ORDER BY path"
        )
        for number, *file in self._of_pictures(select, ids):
            found.setdefault(number, []).append(_file(*file))
        return found

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Id → the facts of this picture; ids without facts are left out."""
        if not self._has(FACTS):
            return {}
        rows = self._of_pictures("SELECT * FROM picture_facts WHERE picture IN ({})", ids)
        known = {number: Facts(*facts) for number, *facts in rows}
        if self._has(WORDS):
            words = "SELECT rowid, title, caption, keywords FROM words WHERE rowid IN ({})"
            for number, title, caption, keywords in self._of_pictures(words, [*known]):
                known[number] = replace(known[number], title=title, caption=caption, keywords=keywords)
        return known

    def all_facts(self) -> Iterator[tuple[int, Facts]]:
        """Id and facts of every picture that has facts, without what people wrote, which no filter asks for."""
        rows = self._query("SELECT * FROM picture_facts") if self._has(FACTS) else []
        return ((number, Facts(*facts)) for number, *facts in rows)

    def names(self) -> Iterator[tuple[int, str, int]]:
        """Id of the picture, path and modification time of every file that is in the index."""
        rows = self._query("SELECT picture, path, mtime_ns FROM files WHERE picture IS NOT NULL")
        return ((number, os.fsdecode(path), mtime_ns) for number, path, mtime_ns in rows)

    def without_facts(self) -> list[File]:
        """The files of pictures without facts, a hash or words, which an earlier version has indexed."""
        known = "SELECT picture FROM picture_facts WHERE hash IS NOT NULL INTERSECT SELECT rowid FROM words"
        return self._files_where(f"picture NOT IN ({known})" if self._has(HASHES) and self._has(WORDS) else "TRUE")

    def without_text(self) -> list[File]:
        """The files of pictures in which no text was looked for."""
        return self._files_where(
            "picture IN (SELECT rowid FROM words WHERE text IS NULL)" if self._has(WORDS) else "FALSE"
        )

    def _files_where(self, condition: str) -> list[File]:
        files = "files JOIN pictures ON pictures.id = files.picture"
        return [
            _file(*row) for row in self._query(f"SELECT {self._file()} FROM {files} WHERE {condition} ORDER BY path")
        ]

    def match_words(self, words: Sequence[str]) -> list[WordMatch]:
        """Pictures with words of a query, best first."""
        return match(self._query, words) if words and self._has(WORDS) else []

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        """Id → the grid of this picture; ids without a grid are left out."""
        if not self._query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'grids'"):
            return {}
        rows = self._of_pictures("SELECT picture, places, grid FROM grids WHERE picture IN ({})", ids)
        return {number: np.frombuffer(grid, "<f2").reshape(places, -1) for number, places, grid in rows}

    def _of_pictures(self, select: str, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement with ``{}`` in place of a list of ids."""
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), 1_000):
            some = tuple(wanted[start : start + 1_000])
            yield from self._query(select.format(",".join("?" * len(some))), some)

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        """The id of the picture with this content, and the files that have it; None if there is none."""
        for (number,) in self._query("SELECT id FROM pictures WHERE content = ?", (content,)):
            if files := self.held([number]).get(number):
                return number, files
        return None

    def sources(self) -> list[str]:
        """Folders, patterns and lists that were indexed, in order of name."""
        return [os.fsdecode(row[0]) for row in self._query("SELECT path FROM sources ORDER BY path")]

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        """Add to the sources, and remove some."""
        with self._transaction():
            rows = ((os.fsencode(source),) for source in sources)
            before = self._db.total_changes
            self._db.executemany("INSERT OR IGNORE INTO sources VALUES (?)", rows)
            self._db.executemany("DELETE FROM sources WHERE path = ?", ((os.fsencode(source),) for source in forget))
            if self._db.total_changes != before and self._has(WORDS):
                ids = self._db.execute("SELECT rowid FROM words").fetchall()
                write_names(self._db, [id for (id,) in ids])  # folders count from the one that was indexed on


def _file(path: bytes, size: int, mtime_ns: int, content: bytes | None, *rest: Any) -> File:
    """A `File` of its columns."""
    return File(os.fsdecode(path), size, mtime_ns, content or b"", *rest)
