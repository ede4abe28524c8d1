"""Re-rankers: a second, closer look at the best candidates of a dual encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Reranker(nn.Module, ABC):
    """Scores pairs of a caption and a picture by looking at every word and every place in the picture.

    A dual encoder embeds a picture without knowing the caption. A re-ranker sees both, which is too slow for all
    pictures and affordable for the few that the dual encoder found (Nogueira & Cho, 2019). It reads the tokens of the
    frozen image tower (`ImageEncoder.tokens`).

    A subclass defines `grid_dim`, `project` and `judge`. Its constructor takes two keyword-only arguments, which the
    program supplies: `num_token_features` of the image tower, and the `vocabulary` of the tokenizer.

    Attributes:
        grid_dim: size of a place in a grid.
        weight: of the re-ranker's judgement beside the similarity of the dual encoder. It is not learnt in training:
            the dual encoder has seen the training captions, so its similarity is better there than it will be on new
            ones. This one number is fitted on validation afterwards.
    """

    grid_dim: int
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(()))

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """The grid of a picture, the part of the work that is independent of captions and that an index can store.

        Args:
            tokens: ``[B, P, num_token_features]``, result of `ImageEncoder.tokens`.

        Returns:
            ``[B, P, grid_dim]``.
        """

    @abstractmethod
    def judge(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Judge K candidates for each of N captions, without the similarity of the dual encoder. This is trained.

        Args:
            grid: ``[N, K, P, grid_dim]``, result of `project`; ``[1, K, P, grid_dim]`` if all captions have the same
                candidates.
            input_ids: ``[N, L]`` int64.
            attention_mask: ``[N, L]`` bool, True on real tokens, which come first.

        Returns:
            ``[N, K]``, larger is better; like a cosine, so that it can be averaged with the similarity.
        """

    def forward(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor, similarity: Tensor) -> Tensor:
        """Score K candidates for each of N captions again.

        Args:
            grid: as for `judge`.
            input_ids: as for `judge`.
            attention_mask: as for `judge`.
            similarity: ``[N, K]``, cosine similarity of the dual encoder.

        Returns:
            ``[N, K]``, result of `combine`.
        """
        return self.combine(self.judge(grid, input_ids, attention_mask), similarity)

    def combine(self, judgement: Tensor, similarity: Tensor) -> Tensor:
        """The weighted mean ``(similarity + weight · judgement) / (1 + weight)`` of arrays of one shape."""
        return (similarity + self.weight * judgement) / (1 + self.weight)

    @property
    def wants_word_vectors(self) -> int | None:
        """Size of the word vectors that `start_from` needs before training; None for no vectors."""
        return None

    def start_from(self, word_vectors: Tensor) -> None:
        """Initialise from word vectors ``[vocabulary.size, wants_word_vectors]`` with a standard deviation of 1."""
        raise NotImplementedError(f"{type(self).__name__} does not start from word vectors")
