"""Stored embeddings of a teacher: pictures and captions of a data set as another model sees them, one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn import functional as F

from imtext.data.captions import CaptionedImages, Split
from imtext.errors import DataError

KIND = "imtext teacher"
TENSORS = ("images", "texts", "image_rows", "text_rows", "text_digests")
COMMAND = "python -m imtext.embed"


@dataclass(frozen=True)
class Teacher:
    """Embeddings of I pictures and T captions by a model, or by several models with their embeddings joined.

    Attributes:
        images: ``[I, D]`` float16, about unit length.
        texts: ``[T, D]`` float16, about unit length.
        image_rows: ``[I]`` int64, the row of each picture in the source.
        text_rows: ``[T, 2]`` int64, of each caption the row of its picture and its number among the captions there; all
            captions of a picture are neighbours, in order.
        text_digests: ``[T]`` int64, see `digests`.
        facts: `fingerprint` of the data, `model`, `temperature` of the model, version of `imtext`.
        path: file that it was read from, for messages.
    """

    images: npt.NDArray[np.float16]
    texts: npt.NDArray[np.float16]
    image_rows: npt.NDArray[np.int64]
    text_rows: npt.NDArray[np.int64]
    text_digests: npt.NDArray[np.int64]
    facts: Mapping[str, str]
    path: str = ""
    _image: dict[int, int] = field(init=False, repr=False, default_factory=dict)  # row → position in `images`
    _start: dict[int, int] = field(init=False, repr=False, default_factory=dict)  # row → its first one in `texts`

    def __post_init__(self) -> None:
        self._image.update({row: position for position, row in enumerate(self.image_rows.tolist())})
        starts = np.flatnonzero(self.text_rows[:, 1] == 0).tolist()
        self._start.update(zip(self.text_rows[starts, 0].tolist(), starts, strict=True))

    def image_batch(self, rows: Sequence[int]) -> Tensor:
        """``[B, D]`` float32 of unit length, for rows of the source."""
        return _unit(self.images[[self._image[row] for row in rows]])

    def text_batch(self, captions: Sequence[tuple[int, int]]) -> Tensor:
        """``[N, D]`` float32 of unit length, for captions given as (row, number of the caption in its row)."""
        return _unit(self.texts[[self._start[row] + number for row, number in captions]])

    def check(
        self, source: CaptionedImages, captions: Sequence[Sequence[str]], rows: Mapping[Split, list[int]]
    ) -> None:
        """Refuse a teacher of other data.

        Args:
            source: the data in use.
            captions: its captions as they are trained with, by row.
            rows: rows of the splits that need the teacher.

        Raises:
            DataError: the file was made from other data, captions have changed, or a split has rows without embeddings.
        """
        again = f"Embed this data: {COMMAND} ckpt_path=<teacher> output={self.path}"
        changed = self._changed(captions)
        if changed and 2 * len(changed) <= len(self.texts):
            row, number = changed[0]
            name = source.names[row] if row < len(source) else f"row {row}"
            raise DataError(
                f"data.teacher={self.path}: {len(changed):,} of {len(self.texts):,} captions have changed since it was "
                f"written, first caption {number + 1} of {name}. {again}"
            )
        if changed or self.facts["fingerprint"] != source.fingerprint:
            raise DataError(
                f"data.teacher={self.path} was made from other data than {source.source}: pictures have other "
                f"contents, dates or paths, or captions differ. {again}"
            )
        for split, wanted in rows.items():
            missing = [row for row in wanted if row not in self._image]
            if missing:
                raise DataError(
                    f"data.teacher={self.path} lacks {len(missing):,} of {len(wanted):,} {split} images, first "
                    f"{source.names[missing[0]]}. Embed all splits (the file may hold more than is needed): {COMMAND} "
                    f"ckpt_path=<teacher> splits=[train,val,test] output={self.path}"
                )

    def _changed(self, captions: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
        """Row and number of all captions that are gone or have another text now."""
        known = {row: digests(captions[row]).tolist() if row < len(captions) else [] for row in self._image}
        pairs = zip(self.text_rows.tolist(), self.text_digests.tolist(), strict=True)
        return [(row, at) for (row, at), digest in pairs if at >= len(known[row]) or known[row][at] != digest]


def digests(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """A hash of each text, ``[T]``; another text has another hash."""
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
            for text in texts
        ],
        np.int64,
    )


def write_teacher(teacher: Teacher, path: Path) -> None:
    """Write the file under a temporary name and rename it, so that a file of this name is always complete.

    Raises:
        DataError: the file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    arrays: dict[str, npt.NDArray[Any]] = {name: np.ascontiguousarray(getattr(teacher, name)) for name in TENSORS}
    try:
        partial.touch()
        mode = partial.stat().st_mode
        save_file(arrays, partial, metadata={**teacher.facts, "kind": KIND})
        partial.chmod(mode)  # safetensors lets only the owner read its files
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"Cannot write {path}: {error}. Choose another file with output=…") from error
    finally:
        partial.unlink(missing_ok=True)


def read_teacher(path: str | Path) -> Teacher:
    """Read a file of `write_teacher`.

    Raises:
        DataError: there is no such file, or it is another file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(
            f"data.teacher={path}: there is no such file. Write it: {COMMAND} ckpt_path=<teacher> output={path}"
        )
    try:
        with safe_open(file, framework="numpy") as opened:
            facts = opened.metadata() or {}
            if facts.get("kind") != KIND:
                raise DataError(f"data.teacher={path} was not written by `{COMMAND}`")
            return Teacher(**{name: opened.get_tensor(name) for name in TENSORS}, facts=facts, path=str(path))
    except SafetensorError as error:
        raise DataError(f"data.teacher={path} was not written by `{COMMAND}`, or is damaged: {error}") from error


def _unit(rows: npt.NDArray[np.float16]) -> Tensor:
    return F.normalize(torch.from_numpy(rows).float(), dim=-1)
