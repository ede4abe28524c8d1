"""A store in memory: the second implementation of the protocol. Shared by all who open the same URL in one process."""

from __future__ import annotations

import itertools
import os
import random
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from imtext.errors import SearchError
from imtext.search.facts import Facts
from imtext.search.filters import Filters
from imtext.search.store import exact
from imtext.search.store.columns import Columns
from imtext.search.store.records import Dated, File, Grid, Ids, Neighbors, Picture, Vectors, WordMatch, unread
from imtext.search.words import folder_words, name_words

SCHEME = "memory"


def _plain(text: str) -> list[str]:
    """The words of a text in lower case, without accents."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return "".join(char if char.isalnum() else " " for char in plain).split()


@dataclass
class Content:
    """The data that all stores of the same URL share."""

    embed_dim: int
    pictures: dict[bytes, tuple[int, Vectors]] = field(default_factory=dict)
    grids: dict[int, Grid] = field(default_factory=dict)
    facts: dict[bytes, Facts] = field(default_factory=dict)
    texts: dict[bytes, str] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    version: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True)
class Snapshot:
    """The pictures that are searched."""

    version: int
    ids: Ids
    vectors: Vectors


_CONTENTS: dict[str, Content] = {}


class MemoryStore:
    """A `Store` that lives as long as the process."""

    model = ""

    def __init__(self, location: str, content: Content) -> None:
        self.location, self.embed_dim = location, content.embed_dim
        self._content = content
        self._snapshot: Snapshot | None = None

    @classmethod
    def open(cls, location: str) -> Self:
        if location not in _CONTENTS:
            raise SearchError(f"There is no index in {location}")
        return cls(location, _CONTENTS[location])

    @classmethod
    def create(cls, location: str, embed_dim: int, model: str = "") -> Self:
        return cls(location, _CONTENTS.setdefault(location, Content(embed_dim)))

    @classmethod
    def exists(cls, location: str) -> bool:
        return location in _CONTENTS

    @classmethod
    def rebuild(cls, location: str, embed_dim: int, model: str = "") -> None:
        old = _CONTENTS[location]
        files = {path: unread(path, "not embedded again yet") for path in old.files}
        _CONTENTS[location] = Content(embed_dim, files=files, sources=set(old.sources), version=random.getrandbits(62))

    def close(self) -> None:
        pass

    def replaced(self) -> bool:
        return _CONTENTS.get(self.location) is not self._content

    def tidy(self) -> None:
        pass

    def check(self) -> int:
        snapshot = self._current()
        if not np.allclose(np.linalg.norm(snapshot.vectors, axis=1), 1, atol=1e-3):
            raise SearchError(f"{self.location} holds vectors that are not of unit length")
        return len(snapshot.ids)

    # ---- searching

    def refresh(self) -> bool:
        with self._content.lock:
            if self._snapshot is not None and self._snapshot.version == self._content.version:
                return False
            numbers = {number: vector for number, vector in self._content.pictures.values() if self.held([number])}
            ids = np.array(sorted(numbers), dtype=np.int64)
            vectors = np.array([numbers[number] for number in ids.tolist()], dtype=np.float32)
            self._snapshot = Snapshot(self._content.version, ids, vectors.reshape(len(ids), self.embed_dim))
            return True

    def _current(self) -> Snapshot:
        if self._snapshot is None:
            self.refresh()
        assert self._snapshot is not None
        return self._snapshot

    @property
    def size(self) -> int:
        return len(self._current().ids)

    def _columns(self) -> Columns:
        content = self._content
        numbers = {name: number for name, (number, _) in content.pictures.items()}
        facts = [(numbers[name], facts) for name, facts in content.facts.items()]
        files = [(numbers[file.content], file.path, file.mtime_ns) for file in self.files() if not file.reason]
        return Columns.build(self._current().ids, facts, files, self.sources())

    def by_date(self, filters: Filters) -> Dated:
        found, columns = self._current(), self._columns()
        places = columns.by_date(filters)
        return Dated(found.version, found.ids[places], columns.date[places])

    def nearest(
        self, queries: Vectors, top_k: int, filters: Filters | None = None, approximate: bool = False
    ) -> Neighbors:
        found = self._current()
        among = self._columns().passing(filters) if filters else None
        places, scores = exact.top_k(found.vectors, queries, top_k, among)
        mean = found.vectors.mean(axis=0) if len(found.ids) else np.zeros(self.embed_dim, np.float32)
        return Neighbors(found.version, found.ids[places], scores, mean, len(found.ids))

    def find_words(self, words: Sequence[str], limit: int, filters: Filters | None = None) -> list[WordMatch]:
        among = self._columns().passing(filters) if filters else None
        found = []
        for place, (id, files) in enumerate(zip(self.ids(), map(self._files_of, self.ids()), strict=True)):
            facts = self._content.facts.get(files[0].content) if files else None
            if facts is not None and (among is None or among[place]):
                paths = [file.path for file in files]
                texts = {
                    "file name": name_words(paths), "folder": folder_words(paths, self.sources()),
                    "title": facts.title, "caption": facts.caption, "keywords": facts.keywords,
                    "text in the picture": self._content.texts.get(files[0].content, ""),
                }  # fmt: skip
                known = {name: f" {' '.join(_plain(text))} " for name, text in texts.items()}
                asked = [f" {' '.join(_plain(word)) or None} " for word in words]
                where = tuple(name for name, text in known.items() if any(word in text for word in asked))
                count = sum(any(word in text for text in known.values()) for word in asked)
                found += [WordMatch(id, count / len(asked), where)] if where else []  # type: ignore[arg-type]
        return sorted(found, key=lambda match: -match.share)[:limit]

    def _files_of(self, id: int) -> list[File]:
        return self.held([id]).get(id, [])

    def vector_of(self, id: int) -> Vectors | None:
        found = self._current()
        rows = np.flatnonzero(found.ids == id)
        return found.vectors[rows[0]] if len(rows) else None

    def ids(self, offset: int = 0, limit: int | None = None) -> list[int]:
        return [int(number) for number in self._current().ids[offset:][:limit]]

    # ---- rows

    def version(self) -> int:
        return self._content.version

    def count(self) -> int:
        return len({file.content for file in self._content.files.values() if not file.reason})

    def files(self, below: str | None = None) -> Iterator[File]:
        prefix = "" if below is None else below.rstrip(os.sep) + os.sep
        with self._content.lock:
            found = [file for path, file in self._content.files.items() if path.startswith(prefix)]
        yield from sorted(found, key=lambda file: os.fsencode(file.path))

    def refused(self) -> dict[str, str]:
        return {file.path: file.reason for file in self.files() if file.reason}

    def known(self, contents: Sequence[bytes]) -> set[bytes]:
        return set(contents) & self._content.pictures.keys()

    def held(self, ids: Sequence[int]) -> dict[int, list[File]]:
        numbers = {content: number for content, (number, _) in self._content.pictures.items() if number in ids}
        found: dict[int, list[File]] = {}
        for file in self.files():
            if file.content in numbers:
                found.setdefault(numbers[file.content], []).append(file)
        return found

    def find(self, content: bytes) -> tuple[int, list[File]] | None:
        if content not in self._content.pictures:
            return None
        number = self._content.pictures[content][0]
        files = self.held([number]).get(number)
        return (number, files) if files else None

    def grids(self, ids: Sequence[int]) -> dict[int, Grid]:
        return {id: self._content.grids[id] for id in ids if id in self._content.grids}

    def facts(self, ids: Sequence[int]) -> dict[int, Facts]:
        content = self._content
        return {
            id: content.facts[name] for name, (id, _) in content.pictures.items() if id in ids and name in content.facts
        }

    def without_facts(self) -> list[File]:
        known = {name for name, facts in self._content.facts.items() if facts.hash is not None}
        return [file for file in self.files() if not file.reason and file.content not in known]

    def without_text(self) -> list[File]:
        content = self._content
        return [file for file in self.files() if file.content in content.facts and file.content not in content.texts]

    def sources(self) -> list[str]:
        return sorted(self._content.sources)

    # ---- writing

    def commit(
        self,
        pictures: Iterable[Picture] = (),
        files: Iterable[File] = (),
        gone: Iterable[str] = (),
        sweep: bool = True,
        facts: Mapping[bytes, Facts] | None = None,
        texts: Mapping[bytes, str] | None = None,
    ) -> None:
        with self._content.lock:
            content = self._content
            new_pictures, new_files = dict(content.pictures), dict(content.files)
            new_grids = dict(content.grids)
            for picture in pictures:
                if picture.content not in new_pictures:
                    number = next(content.numbers)
                    new_pictures[picture.content] = number, np.array(picture.vector, np.float32)
                    if picture.grid is not None:
                        new_grids[number] = np.array(picture.grid, np.float16)
            for file in files:
                if not file.reason and file.content not in new_pictures:
                    raise ValueError(f"{file.path} has no picture")
                new_files[file.path] = replace(file)
            for path in gone:
                new_files.pop(path, None)
            if sweep:
                kept = {file.content for file in new_files.values()}
                new_pictures = {name: picture for name, picture in new_pictures.items() if name in kept}
            new_facts = {name: one for name, one in (content.facts | dict(facts or {})).items() if name in new_pictures}
            before = content.pictures.keys(), content.files, content.facts
            if (new_pictures.keys(), new_files, new_facts) != before:
                content.version = random.getrandbits(62)
            numbers = {number for number, _ in new_pictures.values()}
            content.grids = {number: grid for number, grid in new_grids.items() if number in numbers}
            content.pictures, content.files, content.facts = new_pictures, new_files, new_facts
            content.texts |= dict(texts or {})

    def remember(self, sources: Iterable[str], forget: Iterable[str] = ()) -> None:
        with self._content.lock:
            self._content.sources = (self._content.sources | set(sources)) - set(forget)
