"""Wait until pictures below the sources of an index change."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imtext.errors import needs
from imtext.preprocess.formats import ENDING

with needs("watch"):
    from watchfiles import Change, watch

QUIET, MOST = 1_000, 10_000  # milliseconds without a change before an update, and between updates under constant change
LOOK = 3_000  # milliseconds between two looks for folders that vanished or came back


def changes(index: Path, sources: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Yield whenever the index should be updated, until the caller stops.

    That is after each change, and once after watching has begun, because something may have changed before. A folder
    that vanishes is an update, too, and it is watched again when it comes back. Folders of patterns are watched from
    the first part without wildcards on; of a list, the file itself.

    Args:
        index: folder of the index; changes in it do not count.
        sources: gives the remembered sources, absolute.
    """

    def counts(change: Change, path: str) -> bool:
        """A picture, a folder, a list of paths, or anything that is gone."""
        if Path(path).is_relative_to(index):
            return False
        return bool(ENDING.search(path)) or change == Change.deleted or os.path.isdir(path) or path in present

    while True:
        present = _present(sources())
        begun = False
        try:
            for changed in watch(
                *(present or [index]),  # without any folder, wait for one
                watch_filter=counts,
                step=QUIET,
                debounce=MOST,
                rust_timeout=LOOK,
                yield_on_timeout=True,
                ignore_permission_denied=True,
            ):
                if changed or not begun:
                    yield
                begun = True
                if _present(sources()) != present:
                    break
        except FileNotFoundError:  # it vanished a moment ago
            continue


def _present(sources: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The existing folders and files to watch, with what tells a folder from another one at the same place."""
    found = {}
    for source in sources:
        path = source
        while glob.has_magic(path) and not os.path.exists(path):
            path = os.path.dirname(path)
        try:
            state = os.stat(path)
        except OSError:
            continue
        found[path] = (state.st_dev, state.st_ino)
    return found
