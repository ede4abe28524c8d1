"""Read the text in pictures, such as signs, with RapidOCR: PP-OCR models on ONNX Runtime, in the package itself."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import needs
from imtext.preprocess import open_image
from imtext.search.index.apply import COMMIT_SECONDS, Progress
from imtext.search.store.protocol import Store
from imtext.search.store.records import File

with needs("ocr"):
    from rapidocr import RapidOCR

MAX_SIDE = 1280  # pixels; larger pictures take longer, and text that must be found by a word is not that small
MIN_SCORE = 0.8  # of a line of text; patterns that look like letters have less
MAX_TEXT = 4_000  # characters of one picture


def read_texts(store: Store, progress: Progress) -> int:
    """Read text in all pictures in which none was looked for yet. Returns the number of pictures that were read.

    Every two seconds the texts are committed. A picture whose files are missing, changed or unreadable is left for a
    later time.

    Args:
        store: written to by this process only.
        progress: called with the number of pictures done, the number to do, and the path of the last one done.

    Raises:
        StoreError: the store cannot be written; earlier commits are kept.
    """
    reader: Any = None
    files: dict[bytes, list[File]] = {}
    for file in store.without_text():
        files.setdefault(file.content, []).append(file)
    texts: dict[bytes, str] = {}
    read, committed = 0, time.monotonic()
    for done, (content, copies) in enumerate(files.items(), 1):
        reader = reader or RapidOCR(params={"Global.log_level": "error", "Global.text_score": MIN_SCORE})
        if there := next(filter(_is_there, copies), None):
            try:
                texts[content] = read_text(reader, Path(there.path))
                read += 1
            except (ValueError, OSError):  # its type needs an extra that is not installed any more
                pass
        progress(done, len(files), copies[0].path)
        if time.monotonic() - committed > COMMIT_SECONDS:
            store.commit(texts=texts, sweep=False)
            texts, committed = {}, time.monotonic()
    store.commit(texts=texts, sweep=False)
    return read


def read_text(reader: RapidOCR, path: Path) -> str:
    """The lines of text in one picture, from top to bottom; empty if there are none.

    Raises:
        ValueError: the picture cannot be read.
    """
    image = open_image(path, MAX_SIDE)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    lines = reader(np.asarray(image)[:, :, ::-1]).txts or ()  # it expects blue, green, red
    return " ".join(lines)[:MAX_TEXT]


def _is_there(file: File) -> bool:
    try:
        return File.found(file.path, os.stat(file.path)).unchanged_since(file)
    except OSError:
        return False
