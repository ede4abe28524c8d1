"""What an update is doing and what the last one left out, in a file of the index, for programs that only read it."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from imtext.search.index.apply import Progress, Report
from imtext.search.store.protocol import Store

JOURNAL = "update.json"
WRITE_SECONDS = 0.5  # between two writes
STALE_SECONDS = 60.0  # an update that was silent for so long was killed


@dataclass(frozen=True)
class Update:
    """The update that runs, or the last one.

    Attributes:
        running: is it not finished yet?
        done: number of new and changed files that were read.
        total: number of files to read; 0: not known yet.
        types: types of pictures and videos that cannot be read, with their numbers.
        skipped: reasons why files and folders were not looked at, with their numbers.
        refused: reasons why pictures were refused, with their numbers.
    """

    running: bool = False
    done: int = 0
    total: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


def read_update(folder: Path) -> Update:
    """What the journal in the folder of an index says; of an earlier version's index, nothing."""
    path = folder / JOURNAL
    try:
        update = Update(**json.loads(path.read_bytes()))
        silent = time.time() - path.stat().st_mtime
    except (OSError, ValueError, TypeError):
        return Update()
    return Update(**asdict(update) | {"running": update.running and silent < STALE_SECONDS})


class Journal:
    """Writes the journal of one update; a file that cannot be written is no reason to stop.

    Args:
        folder: folder of the index.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.before = read_update(folder)  # what was left out, until this update knows better
        self._written = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Say that an update runs, until it is finished or fails."""
        self._write(Update(True, 0, 0, self.before.types, self.before.skipped, self.before.refused))
        try:
            yield
        except BaseException:
            self._write(self.before)
            raise

    def follow(self, progress: Progress) -> Progress:
        """A function of progress that writes it down, too."""

        def count(done: int, total: int, path: str) -> None:
            progress(done, total, path)
            if time.monotonic() - self._written > WRITE_SECONDS:
                before = self.before
                self._write(Update(True, done, total, before.types, before.skipped, before.refused))

        return count

    def finish(self, report: Report, store: Store) -> None:
        """Say what was left out, now and earlier.

        Args:
            report: result of the update.
            store: holds why files were refused.
        """
        refused = store.refused() | report.refused
        self._write(Update(False, 0, 0, dict(report.other), dict(report.skipped), dict(Counter(refused.values()))))

    def _write(self, update: Update) -> None:
        unfinished = self.path.with_name(f"{JOURNAL}.{os.getpid()}")
        with suppress(OSError):
            unfinished.write_text(json.dumps(asdict(update)) + "\n")
            unfinished.replace(self.path)
        self._written = time.monotonic()
