"""A re-ranker in which the words of a caption attend to the places in a picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.models.reranker import Reranker
from imtext.preprocess.tokenizer import Vocabulary


class CrossAttention(Reranker):
    """Every word looks for what it describes among the places in a picture.

    Cross-attention between words and regions as in SCAN (Lee et al., ECCV 2018), on the grid of the image tower instead
    of detected objects: words in their context and places are vectors of unit length; a word attends to the places by
    a softmax over their cosines, and its own score is the cosine that it meets there on average. The score of the pair
    is a mean over words, weighted by how telling each word is.

    Args:
        dim: size of words and places.
        word_dim: size of a word embedding.
        word_scale: standard deviation of the initial word embeddings.
        dropout: on word embeddings and places.
        word_dropout: share of words that are replaced by the unknown token in training.
        num_token_features: size of a token of the image tower; supplied by the program.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        dim: int = 128,
        word_dim: int = 300,
        word_scale: float = 0.05,
        dropout: float = 0.2,
        word_dropout: float = 0.1,
        *,
        num_token_features: int,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__()
        for name, share in (("dropout", dropout), ("word_dropout", word_dropout)):
            if not 0 <= share < 1:
                raise ConfigError(f"model.reranker.{name} must be between 0 and 1, not {share}")
        for name, size in (("dim", dim), ("word_dim", word_dim)):
            if size < 1:
                raise ConfigError(f"model.reranker.{name} must be at least 1, not {size}")
        self.grid_dim, self.word_scale = dim, word_scale
        self.word_dropout = word_dropout if vocabulary.unk_id is not None else 0.0
        self.unk_id = vocabulary.unk_id
        self.places = nn.Sequential(
            nn.LayerNorm(num_token_features), nn.Dropout(dropout), nn.Linear(num_token_features, dim)
        )
        self.word_embedding = nn.Embedding(vocabulary.size, word_dim, padding_idx=vocabulary.pad_id)
        self.dropout = nn.Dropout(dropout)
        self.word = nn.Linear(word_dim, dim)
        self.context = nn.Conv1d(word_dim, dim, kernel_size=3, padding=1)
        self.telling = nn.Linear(dim, 1, bias=False)  # a constant would change no share
        self.sharpness = nn.Parameter(torch.tensor(math.log(9.0)))  # of the attention
        with torch.no_grad():
            self.word_embedding.weight.mul_(word_scale)
        nn.init.zeros_(self.telling.weight)

    @property
    def wants_word_vectors(self) -> int | None:
        """Size of a word embedding."""
        return self.word_embedding.embedding_dim

    def start_from(self, word_vectors: Tensor) -> None:
        """Start from word vectors ``[vocabulary.size, word_dim]``, multiplied by `word_scale`."""
        with torch.no_grad():
            self.word_embedding.weight.copy_(word_vectors * self.word_scale)

    def project(self, tokens: Tensor) -> Tensor:
        """``[B, P, num_token_features]`` → ``[B, P, dim]`` of unit length."""
        return F.normalize(self.places(tokens), dim=-1)

    def judge(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The mean score of the words, between -1 and 1; see `Reranker.judge`."""
        words = self._words(input_ids, attention_mask)  # [N, L, D]
        weights = self.telling(words).squeeze(2).masked_fill(~attention_mask, -1e4).softmax(dim=1)
        unit = F.normalize(words, dim=-1)
        # [N, K, L, P]; candidates that all captions share are not copied for each caption
        if len(grid) == 1:
            cosine = torch.einsum("nld,kpd->nklp", unit, grid[0])
        else:
            cosine = torch.einsum("nld,nkpd->nklp", unit, grid)
        attention = (self.sharpness.exp() * cosine).softmax(dim=3)
        found = (attention * cosine).sum(dim=3)  # [N, K, L]
        judgement: Tensor = (found * weights[:, None]).sum(dim=2)
        return judgement

    def _words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` → words in their context ``[N, L, D]``, the same whatever the padding."""
        if self.training and self.word_dropout > 0 and self.unk_id is not None:
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.word_dropout
            input_ids = input_ids.masked_fill(dropped & attention_mask, self.unk_id)
        words = self.dropout(self.word_embedding(input_ids)) * attention_mask[:, :, None]
        near: Tensor = self.context(words.transpose(1, 2)).transpose(1, 2)
        alone: Tensor = self.word(words)
        return alone + near
