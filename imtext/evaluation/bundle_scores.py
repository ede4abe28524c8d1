"""What a bundle makes of pictures and captions, and what follows from it: recalls and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imtext.data import RetrievalDataModule
from imtext.evaluation.calibration import fit_calibration
from imtext.evaluation.metrics import RetrievalMetrics
from imtext.evaluation.reranking import TOP_K
from imtext.preprocess import Pixels
from imtext.search.bundle import Bundle
from imtext.search.calibration import Calibration
from imtext.search.encoder import Embeddings, Encoder, Grids

MAX_PICTURES = 1_000  # validation pictures that bundles are proved with
MAX_RERANKED_TO_FIT = 1_000  # captions whose candidates are scored again for the calibration

Answers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BundleScores:
    """Embeddings of B pictures and N captions by a bundle.

    Attributes:
        encoder: of the bundle.
        captions: N captions.
        images: ``[B, embed_dim]`` of unit length.
        texts: ``[N, embed_dim]`` of unit length.
        grids: ``[B, P, grid_dim]``; None without a re-ranker.
    """

    encoder: Encoder
    captions: Sequence[str]
    images: Embeddings
    texts: Embeddings
    grids: Grids | None

    @classmethod
    def of(cls, bundle: Bundle, pixels: Sequence[Pixels], captions: Sequence[str]) -> BundleScores:
        """Embed pictures, as `Preprocess.pixels` makes them, and captions."""
        encoder = Encoder(bundle)
        if bundle.reranker is None:
            images, grids = encoder.encode_images(pixels), None
        else:
            images, grids = encoder.encode_images_and_grids(pixels)
        return cls(encoder, captions, images, encoder.encode_texts(captions), grids)

    @cached_property
    def scores(self) -> npt.NDArray[np.float32]:
        """``[N, B]``, similarities of captions and pictures."""
        return np.asarray(self.texts @ self.images.T, dtype=np.float32)

    def rerank(self, caption: int, pictures: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """New scores of some pictures for one caption, by the re-ranker."""
        assert self.grids is not None
        return self.encoder.rerank(self.captions[caption], self.grids[pictures], self.scores[caption, pictures])

    def metrics(self, answers: Answers) -> dict[str, float]:
        """The metrics of `RetrievalMetrics`; recalls are fractions.

        Args:
            answers: ``[N]``, the picture of each caption.
        """
        metrics = RetrievalMetrics()
        metrics.update(
            torch.from_numpy(self.images), torch.from_numpy(self.texts),
            torch.arange(len(self.images)), torch.from_numpy(answers),
        )  # fmt: skip
        return metrics.compute()

    def calibrations(self, answers: Answers) -> tuple[Calibration, Calibration | None]:
        """The calibration of the similarities, and that of the re-ranker's scores if there is one.

        Args:
            answers: ``[N]``, the picture of each caption.

        Raises:
            ValueError: there are too few pictures.
        """
        calibration = fit_calibration(self.scores, answers)
        if self.grids is None:
            return calibration, None
        every = -(-len(answers) // MAX_RERANKED_TO_FIT)
        some = BundleScores(self.encoder, self.captions[::every], self.images, self.texts[::every], self.grids)
        return calibration, fit_calibration(some.scores, answers[::every], rerank=some.rerank, depth=TOP_K)


def validation_pairs(data: RetrievalDataModule) -> tuple[list[Pixels], list[str], Answers]:
    """The validation pictures that bundles are proved with, their captions, and the picture of each caption."""
    rows = data.rows["val"][:MAX_PICTURES]
    captions = [caption for row in rows for caption in data.captions[row]]
    answers = np.repeat(np.arange(len(rows)), [len(data.captions[row]) for row in rows])
    return [data.pixels[row] for row in rows], captions, answers
