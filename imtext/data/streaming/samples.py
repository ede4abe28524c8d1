"""The samples of a shard in the layout of img2dataset: ``000000001.jpg`` beside ``.txt``, ``.json`` or both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np

from imtext.data.reading.columns import caption_columns, captions_of
from imtext.data.reading.pictures import PICTURE_SUFFIXES
from imtext.data.streaming.shards import length_of, open_shard, reason_of
from imtext.errors import DataError, needs
from imtext.preprocess import Pixels, Preprocess, open_image

Kind = Literal["broken pictures", "samples without a picture", "samples without a caption", "broken shards"]
PICTURES = tuple(suffix.removeprefix(".") for suffix in PICTURE_SUFFIXES)
MOST_CAPTIONS = 16  # of a picture; further ones are left out
PER_SHARD = 2**32  # numbers of samples of one shard
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Sample:
    """A picture with captions.

    Attributes:
        number: unlike that of any other sample; it is the `image_id`.
        name: shard and key.
        picture: content of the picture's file.
        captions: at least one, without blanks around it.
    """

    number: int
    name: str
    picture: bytes
    captions: list[str]


@dataclass(frozen=True)
class Decoded:
    """A sample whose picture is decoded, ``[image_size, image_size, 3]`` uint8."""

    number: int
    pixels: Pixels
    captions: list[str]


@dataclass(frozen=True)
class Problem:
    """What was left out, and why."""

    kind: Kind
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


@dataclass
class Broken:
    """Counts of what was left out, with the first examples: bounded, however much it is."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Count a problem."""
        self.counts[problem.kind] += 1
        self.examples = [*self.examples, str(problem)][:SHOWN]

    def take(self) -> Broken:
        """What has been counted; counting starts again."""
        taken = Broken(self.counts, self.examples)
        self.counts, self.examples = Counter(), []
        return taken

    def merge(self, other: Broken) -> None:
        """Add the counts of another part of the stream."""
        self.counts.update(other.counts)
        self.examples = [*self.examples, *other.examples][:SHOWN]

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {kind}" for kind, number in self.counts.most_common())
        return f"{counts}: {'; '.join(self.examples)}{' …' if self.counts.total() > len(self.examples) else ''}"


def read_shard(
    shard: str, number: int, caption_keys: Sequence[str] | None = None, start: float = 0
) -> Iterator[Sample | Problem]:
    """Read a shard once; nothing of it is kept.

    Args:
        shard: path or address.
        number: of the shard among all of them; numbers of samples follow from it.
        caption_keys: keys of the JSON files that hold captions; None takes those with a typical name.
        start: share of the shard's bytes; the samples in them come last. (From a server that does not tell the length,
            all samples come in their order.)

    Yields:
        Samples, and in their places what is broken. A shard that ends too early ends with a problem.
    """
    with needs("webdataset"):
        from webdataset.tariterators import group_by_keys, tar_file_iterator
    read = later = 0
    try:
        with open_shard(shard) as file:
            place, border = 0, start and start * length_of(file)
            members = ({**member, "__url__": shard} for member in tar_file_iterator(file))
            # A name that comes twice is an error there; the first of them is taken.
            for read, files in enumerate(group_by_keys(members, handler=lambda _: True), 1):
                if place < border:
                    later, place = read, file.tell()
                else:
                    yield _sample(files, number * PER_SHARD + read - 1, caption_keys)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001  of tar, gzip, and every file system
        yield Problem("broken shards", shard, f"after {read:,} samples: {reason_of(error)}")
    if later:
        yield from islice(read_shard(shard, number, caption_keys), later)


def _sample(files: dict[str, Any], number: int, caption_keys: Sequence[str] | None) -> Sample | Problem:
    """A sample from its files, whose names are the endings."""
    name = f"{files['__url__']}/{files['__key__']}"
    content = {ending: data for ending, data in files.items() if not ending.startswith("__")}
    picture = next((data for ending, data in content.items() if ending.rpartition(".")[2] in PICTURES), None)
    found = f"it has {', '.join(sorted(content))}"
    if picture is None:
        return Problem("samples without a picture", name, found)
    try:
        texts = _captions(content, caption_keys, name)
    except (ValueError, RecursionError) as error:
        return Problem("samples without a caption", name, f"{found}; {error}")
    captions = [text.strip() for text in texts if text.strip()][:MOST_CAPTIONS]
    if not captions:
        return Problem("samples without a caption", name, found)
    return Sample(number, name, picture, captions)


def _captions(content: dict[str, bytes], caption_keys: Sequence[str] | None, name: str) -> list[str]:
    """The captions in the JSON file; if it has none, the text.

    Raises:
        ValueError: a file cannot be read.
        RecursionError: JSON that is nested too deeply.
    """
    if "json" in content:
        values = json.loads(content["json"])
        if isinstance(values, dict):
            try:
                columns = caption_columns(list(values), caption_keys, name)
            except DataError:  # it has no captions
                columns = []
            if texts := [text for text in captions_of(values, columns) if text.strip()]:
                return texts
    return [content["txt"].decode("utf-8")] if "txt" in content and caption_keys is None else []


def decode(sample: Sample, preprocess: Preprocess) -> Decoded | Problem:
    """Decode the picture of a sample at the size of the model."""
    try:
        pixels = np.array(
            preprocess.pixels(open_image(sample.picture, preprocess.image_size))
        )  # one that can be written
    except Exception as error:  # noqa: BLE001  Pillow raises many kinds of errors for damaged files
        return Problem("broken pictures", sample.name, str(error) or type(error).__name__)
    return Decoded(sample.number, pixels, sample.captions)
