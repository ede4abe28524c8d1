"""What the user leaves out of an index, remembered in its folder for later updates."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from imtext.errors import SearchError

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Rules:
    """What the user leaves out of an index.

    Args:
        exclude: patterns as in a `.gitignore` file, relative to each folder that is indexed.
        include_hidden: also read hidden files and folders, and folders that usually contain no photos.

    Raises:
        SearchError: a pattern is not valid.
    """

    exclude: tuple[str, ...] = ()
    include_hidden: bool = False

    def __post_init__(self) -> None:
        try:
            GitIgnoreSpec.from_lines(self.exclude)
        except ValueError as error:
            raise SearchError(f"--exclude: {error}. Write patterns as in a .gitignore file") from error

    def override(self, exclude: Sequence[str] | None = None, include_hidden: bool | None = None) -> Rules:
        """A copy with these settings; None leaves a setting unchanged, and an empty pattern excludes nothing."""
        patterns = self.exclude if exclude is None else tuple(pattern for pattern in exclude if pattern)
        return Rules(patterns, self.include_hidden if include_hidden is None else include_hidden)


def read_rules(folder: Path) -> Rules:
    """The rules that the index in a folder remembers.

    Raises:
        SearchError: they cannot be read.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_bytes())
        return Rules(tuple(map(str, settings["exclude"])), bool(settings["include_hidden"]))
    except FileNotFoundError:
        return Rules()
    except (OSError, ValueError, KeyError, TypeError, SearchError) as error:
        raise SearchError(
            f"{folder / SETTINGS} cannot be read ({error}). Delete it, and name --exclude again"
        ) from error


def write_rules(folder: Path, rules: Rules) -> None:
    """Remember rules in the folder of an index."""
    if rules != read_rules(folder):
        unfinished = folder / f"{SETTINGS}.{os.getpid()}"
        unfinished.write_text(json.dumps(asdict(rules)) + "\n")
        unfinished.replace(folder / SETTINGS)
