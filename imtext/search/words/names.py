"""Words in the names of a picture's file and of the folders that it is in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

WORD = re.compile(r"[^\W_]+")
PART = re.compile(r"\d+|[A-ZÀ-ÖØ-Þ]+(?![a-zß-ÿ])|[A-ZÀ-ÖØ-Þ]?[^\W\d_A-ZÀ-ÖØ-Þ]+|[^\W_]")


def name_words(paths: Iterable[str]) -> str:
    """The words in the names of files, without endings: ``SunsetBeach_2.jpg`` → ``SunsetBeach_2 Sunset Beach``."""
    stems = dict.fromkeys(os.path.splitext(os.path.basename(path))[0] for path in paths)
    return " ".join(map(_split, stems))


def folder_words(paths: Iterable[str], sources: Sequence[str]) -> str:
    """The words in the names of folders, below the folder that was indexed.

    The name of that folder itself, and those above it, say nothing of one picture.

    Args:
        paths: absolute paths of files.
        sources: what was indexed, such as folders. Of a file that is in none of them, only its own folder counts.
    """
    folders = dict.fromkeys(_below(os.path.dirname(path), sources) for path in paths)
    return " ".join(_split(name) for folder in folders for name in folder.split(os.sep) if name)


def _below(folder: str, sources: Sequence[str]) -> str:
    around = [source for source in sources if f"{folder}{os.sep}".startswith(source.rstrip(os.sep) + os.sep)]
    return folder[len(min(around, key=len).rstrip(os.sep)) :] if around else os.path.basename(folder)


def _split(name: str) -> str:
    """A name, followed by the parts of its words: they begin at capital letters and where digits begin or end.

    The full text itself splits a name at all other characters.
    """
    words = WORD.findall(name)
    parts = [part for word in words for part in PART.findall(word) if part not in words]
    return " ".join([name, *parts]).encode("utf-8", "replace").decode()  # names may hold any bytes
