"""Update a store so that it matches the files on disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from imtext.search.facts import Facts
from imtext.search.index.changes import Changes
from imtext.search.index.description import describe
from imtext.search.index.embedding import Embedded, Embedder
from imtext.search.store.protocol import Store
from imtext.search.store.records import UNREAD, File, Picture

COMMIT_SECONDS = 2.0  # a killed update loses at most this much work

Progress = Callable[[int, int, str], None]


@dataclass
class Report:
    """The result of an update.

    Attributes:
        added: files that were embedded.
        updated: number of added files that were indexed before with other content.
        renamed: (before, after) of new files whose content was known under a name that no longer exists.
        copies: new files whose content was known under a name that still exists.
        removed: files that are gone.
        unchanged: files that were up to date.
        refused: path → why it was left out, without files that were refused earlier and have not changed.
        refused_before: number of files that were refused earlier and have not changed.
        other: types of pictures and videos that cannot be read, with their numbers.
        skipped: reasons why files and folders were not looked at, with their numbers.
        described: pictures of an earlier version whose facts and hashes were found now.
        without_pictures: sources that are not remembered, because they contain no pictures.
        seconds: duration.
    """

    added: int = 0
    updated: int = 0
    renamed: list[tuple[str, str]] = field(default_factory=list)
    copies: int = 0
    removed: int = 0
    unchanged: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    refused_before: int = 0
    other: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    described: int = 0
    without_pictures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def no_progress(done: int, total: int, path: str) -> None:
    """Report nothing."""


def apply_changes(
    store: Store,
    embedder: Embedder,
    changes: Changes,
    image_size: int,
    progress: Progress = no_progress,
    grids: bool = False,
) -> Report:
    """Update a store, in commits of a few seconds' work.

    Memory use does not grow with the number of files. A file that cannot be read is reported and remembered, and the
    other files are still indexed.

    Args:
        store: written to by this process only.
        embedder: embeds with the index's own bundle.
        changes: result of `compare`.
        image_size: pixels that the bundle sees.
        progress: called with the number of files done, the number to do, and the path of the last one done.
        grids: store the grids of new pictures for the bundle's re-ranker.
    """
    return _Update(store, embedder, changes, image_size, grids).run(progress)


class _Update:
    """The state of one update: the pictures and files that wait to be committed."""

    def __init__(self, store: Store, embedder: Embedder, changes: Changes, image_size: int, grids: bool) -> None:
        self.store, self.embedder, self.changes, self.image_size = store, embedder, changes, image_size
        self.grids = grids
        self.report = Report(
            unchanged=changes.unchanged - changes.refused_before,
            refused=dict(changes.refused),
            refused_before=changes.refused_before,
            other=changes.other,
            skipped=changes.skipped,
        )
        # Content → the name it had. A new file with this content was renamed.
        self._gone = {content: path for path in changes.gone if (content := changes.before[path])}
        self._files: list[File] = list(changes.recorded)
        self._pictures: list[Picture] = []
        self._facts: dict[bytes, Facts] = {}

    def run(self, progress: Progress) -> Report:
        started = committed = time.monotonic()
        files = [*self.changes.new, *self.changes.changed]
        with closing(self.embedder.embed(files, self.store, self.grids)) as embedded:
            for done, item in enumerate(embedded, 1):
                progress(done, len(files), item.file.path)
                if item.file.reason:
                    self._refuse(item.file)
                elif item.vector is not None:
                    self._add(item)
                else:
                    self._take_known(item.file)
                if time.monotonic() - committed > COMMIT_SECONDS:
                    # No sweep yet: a file that was read ahead may have a picture that no other file has any more.
                    self._commit(sweep=False)
                    committed = time.monotonic()
        # Old names are removed last. Until then a renamed picture has both names, so its vector is never lost.
        self._commit(self.changes.gone)
        self.report.removed = len(self.changes.gone) - len(self.report.renamed)
        self.report.described = describe(self.store, self.image_size, COMMIT_SECONDS, progress)
        self.report.seconds = time.monotonic() - started
        return self.report

    def _refuse(self, file: File) -> None:
        self.report.refused[file.path] = file.reason
        # An indexed file that cannot be read now stays in the index unchanged.
        if file.size != UNREAD or file.path not in self.changes.before:
            self._files.append(file)

    def _add(self, item: Embedded) -> None:
        assert item.vector is not None
        self.report.added += 1
        self.report.updated += bool(self.changes.before.get(item.file.path))
        self._pictures.append(Picture(item.file.content, item.vector, item.grid))
        self._files.append(item.file)
        if item.facts is not None:
            self._facts[item.file.content] = item.facts

    def _take_known(self, file: File) -> None:
        """Add a file whose content has a vector."""
        if file.content == self.changes.before.get(file.path):
            self.report.unchanged += 1  # its modification time changed, its content did not
        elif (before := self._gone.pop(file.content, None)) is not None:
            self.report.renamed.append((before, file.path))
        else:
            self.report.copies += 1
        self._files.append(file)

    def _commit(self, gone: list[str] | None = None, sweep: bool = True) -> None:
        self.store.commit(self._pictures, self._files, gone or [], sweep, self._facts)
        self._pictures, self._files, self._facts = [], [], {}
