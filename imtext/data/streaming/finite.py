"""Samples of shards as finite data: the head of a stream, or a few shards for validation."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from PIL import Image
from rich.progress import track

from imtext.data.captions import CaptionedImages, fingerprint
from imtext.data.rows import only_writer
from imtext.data.streaming.samples import Broken, Problem, Sample, read_shard
from imtext.data.streaming.shards import is_remote, mark
from imtext.errors import DataError
from imtext.preprocess import open_image

log = logging.getLogger(__name__)
ONE_RUN = 3600  # seconds; the processes of a run start within them, and must find the same samples
LAYOUT = "Shards hold files of equal names beside each other: 000000001.jpg, and 000000001.txt or 000000001.json"


def finite_images(
    shards: Sequence[str],
    limit: int | None,
    caption_keys: Sequence[str] | None,
    folder: Path,
    target_size: int,
    source: str,
    skip_broken: bool = True,
) -> CaptionedImages:
    """The first samples of shards. They are copied into the cache, because shards cannot be read in any order.

    Args:
        shards: paths or addresses; they are read from the first on.
        limit: number of samples; None takes all.
        caption_keys: keys of the JSON files that hold captions; None takes those with a typical name.
        folder: of the cache. A remote shard that changes under its name is not noticed. If one broke off, the copy is
            for this run only: the next one reads again.
        target_size: JPEGs may be decoded at this size or a little above.
        source: name in messages.
        skip_broken: leave out what is broken, and say so.

    Raises:
        DataError: nothing can be read, or something is broken and `skip_broken` is off.
    """
    key = fingerprint([*map(mark, shards), str(limit), str(caption_keys and list(caption_keys))])
    path = folder / f"samples-{key}.bin"
    _forget_if_cut(path)
    with only_writer(path) as missing:
        if missing:
            _copy(_samples(shards, caption_keys), limit, path, source)
    notes = json.loads(path.with_suffix(".json").read_text())
    if notes["broken"] and not skip_broken:
        raise DataError(
            f"{source}: {notes['broken']}. Repair them, or pass data.skip_broken=true to train without them"
        )
    if notes["broken"]:
        log.warning("Left out of %s: %s", source, notes["broken"])
    ends = notes["ends"]
    if notes.get("cut"):
        log.warning("%s: remote shards broke off, perhaps with the network. The next run reads them again", source)
        key = fingerprint([key, *notes["names"]])

    def load(row: int) -> Image.Image:
        start = ends[row - 1] if row else 0
        with path.open("rb") as file:
            return open_image(os.pread(file.fileno(), ends[row] - start, start), target_size)

    return CaptionedImages(source, notes["captions"], notes["names"], load, key)


def joined(training: CaptionedImages, validation: CaptionedImages) -> CaptionedImages:
    """One source, whose own split is that of the two parts."""
    first, count = len(training), len(training) + len(validation)

    def load(row: int) -> Image.Image:
        return training.load_image(row) if row < first else validation.load_image(row - first)

    return replace(
        training,
        captions=[*training.captions, *validation.captions],
        names=[*training.names, *validation.names],
        load_image=load,
        fingerprint=fingerprint([training.fingerprint, validation.fingerprint]),
        official={"train": list(range(first)), "val": list(range(first, count)), "test": []},
    )


def _samples(shards: Sequence[str], caption_keys: Sequence[str] | None) -> Iterator[Sample | Problem]:
    for number, shard in enumerate(shards):
        yield from read_shard(shard, number, caption_keys)


def _forget_if_cut(path: Path) -> None:
    """Remove what an earlier run copied of remote shards that broke off."""
    is_old = path.exists() and time.time() - path.stat().st_mtime > ONE_RUN
    if is_old and json.loads(path.with_suffix(".json").read_text()).get("cut"):
        path.unlink(missing_ok=True)


def _copy(samples: Iterator[Sample | Problem], limit: int | None, path: Path, source: str) -> None:
    """Write the pictures one after another, and their captions and places into a file beside."""
    cut, broken, captions, names, ends, size = False, Broken(), list[list[str]](), list[str](), list[int](), 0
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            shown = track(islice(samples, limit), f"Reading {source}", total=limit, transient=True)
            for sample in shown:
                if isinstance(sample, Problem):
                    broken.add(sample)
                    cut = cut or (sample.kind == "broken shards" and is_remote(sample.name))
                    continue
                file.write(sample.picture)
                size += len(sample.picture)
                ends.append(size)
                captions.append(sample.captions)
                names.append(sample.name)
        if not names:
            raise DataError(f"{source}: nothing can be read. {str(broken) or 'The shards are empty'}. {LAYOUT}")
        found = {"captions": captions, "names": names, "ends": ends}
        notes = {**found, "broken": str(broken) if broken else "", "cut": cut}
        path.with_suffix(".json").write_text(json.dumps(notes))
        partial.replace(path)  # last, because its presence means that everything is complete
    finally:
        partial.unlink(missing_ok=True)
