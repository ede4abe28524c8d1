"""Calibrate a bundle on pairs of pictures and captions, without torch: for bundles that were made without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from imtext.data.reading.columns import CAPTION_NAMES, captions_of
from imtext.data.reading.pictures import find_pictures
from imtext.data.reading.tables import read_table
from imtext.errors import DataError
from imtext.evaluation.calibration import MIN_PICTURES, fit_calibration
from imtext.preprocess import open_image
from imtext.search.calibration import Calibration
from imtext.search.encoder import Encoder

MAX_PICTURES, MAX_CAPTIONS = 1_000, 1_000  # more take longer and hardly make the calibration better
IMAGE_COLUMN = "image"
SHOWN = 10


@dataclass(frozen=True)
class Measured:
    """A calibration, and how well the model searches the pictures that it was fitted to.

    Attributes:
        calibration: the calibration.
        recall: share of captions whose picture is among the ten best of the dual encoder, of all these pictures.
        pictures: number of pictures.
        captions: number of captions.
        reranked: the calibration of the re-ranker's scores; None: the bundle has no re-ranker.
    """

    calibration: Calibration
    recall: float
    pictures: int
    captions: int
    reranked: Calibration | None = None


def read_pairs(table: Path, image_root: Path | None = None) -> dict[Path, list[str]]:
    """Read pictures and their captions.

    Args:
        table: a .csv, .tsv, .jsonl or .json file with the columns `image` and `caption` (or another usual name of
            captions). Several rows may name the same picture.
        image_root: folder that relative paths start from; None: the folder of the table.

    Returns:
        Path of each picture → its captions; empty ones are left out.

    Raises:
        DataError: the table cannot be read, or has other columns, or its pictures do not exist.
    """
    if not table.is_file():
        raise DataError(
            f"There is no file {table}. Give a .csv, .tsv, .jsonl or .json file of image,caption with --data"
        )
    content = read_table(table)
    rows, columns = content.rows, content.columns
    texts = [name for name in columns if name in CAPTION_NAMES or name.startswith("caption_")]
    if IMAGE_COLUMN not in columns or not texts:
        raise DataError(f"{table} has the columns {', '.join(columns) or 'none'}; it needs {IMAGE_COLUMN} and caption")
    root = image_root or table.parent
    found = find_pictures((str(row[IMAGE_COLUMN]) for row in rows), root, str(table), "--image-root")
    pairs: dict[Path, list[str]] = {}
    for row in rows:
        captions = [caption for caption in captions_of(row, texts) if caption.strip()]
        pairs.setdefault(found[str(row[IMAGE_COLUMN])], []).extend(captions)
    return {path: captions for path, captions in pairs.items() if captions}


def calibrate(encoder: Encoder, pairs: Mapping[Path, Sequence[str]], seed: int = 0) -> Measured:
    """Fit a calibration to pictures and their captions.

    Args:
        encoder: of the bundle.
        pairs: result of `read_pairs`; of more than 1,000 pictures or captions, 1,000 are drawn.
        seed: of those draws, and of the calibration's galleries.

    Raises:
        DataError: there are fewer than 20 pictures, or a picture cannot be read.
    """
    paths = list(pairs)
    if len(paths) < MIN_PICTURES:
        raise DataError(
            f"{len(paths)} pictures with captions are too few to calibrate; {MIN_PICTURES} are needed, and some "
            "hundred are good"
        )
    rng = np.random.default_rng(seed)
    paths = [paths[row] for row in _draw(len(paths), MAX_PICTURES, rng)]
    described = [(row, caption) for row, path in enumerate(paths) for caption in pairs[path]]
    described = [described[row] for row in _draw(len(described), MAX_CAPTIONS, rng)]
    preprocess, reranker, grids = encoder.bundle.preprocess, encoder.bundle.reranker, None
    pixels = (preprocess.pixels(_open(path, preprocess.image_size)) for path in paths)
    if reranker is None:
        images = encoder.encode_images(pixels)
    else:
        images, grids = encoder.encode_images_and_grids(pixels)
    texts = encoder.encode_texts([caption for _, caption in described])
    answers = np.array([row for row, _ in described])
    scores = texts @ images.T
    own = scores[np.arange(len(answers)), answers]
    recall = float(((scores >= own[:, None]).sum(axis=1) <= SHOWN).mean())  # ties count against the model
    reranked = None
    if reranker is not None and grids is not None:

        def rerank(text: int, pictures: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
            return encoder.rerank(described[text][1], grids[pictures], scores[text, pictures])

        reranked = fit_calibration(scores, answers, seed, rerank, reranker.top_k)
    return Measured(fit_calibration(scores, answers, seed), recall, len(paths), len(answers), reranked)


def _draw(number: int, limit: int, rng: np.random.Generator) -> list[int]:
    """At most `limit` of `number` rows, in order."""
    return sorted(rng.choice(number, limit, replace=False).tolist()) if number > limit else list(range(number))


def _open(path: Path, size: int) -> Image.Image:
    try:
        return open_image(path, size)
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
