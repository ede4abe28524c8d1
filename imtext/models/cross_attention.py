"""A re-ranker in which the words of a caption attend to the places in a picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models.reranker import Reranker
from imtext.preprocess.tokenizer import Vocabulary


class CrossAttention(Reranker):
    """Every word gathers what it describes from the places in a picture, and judges how well it is found there.

    Cross-attention as in SCAN (Lee et al., ECCV 2018): queries are words in their context, keys and values are places.
    Each word compares itself with what it gathered; the score of the pair is the mean judgement of its words, added to
    the similarity of the dual encoder. At the beginning it adds nothing.

    Args:
        dim: size of words and places.
        num_heads: number of attention heads.
        word_dim: size of a word embedding.
        dropout: on word embeddings, on places and before the judgement.
        num_token_features: size of a token of the image tower; supplied by the program.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        dim: int = 128,
        num_heads: int = 4,
        word_dim: int = 300,
        dropout: float = 0.2,
        *,
        num_token_features: int,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__()
        if dim < 1 or dim % num_heads:
            raise ConfigError(f"model.reranker.dim={dim} must be a multiple of model.reranker.num_heads={num_heads}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"model.reranker.dropout must be between 0 and 1, not {dropout}")
        self.grid_dim, self.num_heads = dim, num_heads
        self.places = nn.Sequential(nn.Linear(num_token_features, dim), nn.LayerNorm(dim))
        self.word_embedding = nn.Embedding(vocabulary.size, word_dim, padding_idx=vocabulary.pad_id)
        self.context = nn.Conv1d(word_dim, dim, kernel_size=3, padding=1)
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.judge = nn.Sequential(nn.Linear(3 * dim, dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, 1))
        nn.init.zeros_(self.judge[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.judge[-1].bias)  # type: ignore[arg-type]

    @property
    def wants_word_vectors(self) -> int | None:
        """Size of a word embedding."""
        return self.word_embedding.embedding_dim

    def start_from(self, word_vectors: Tensor) -> None:
        """Start from word vectors ``[vocabulary.size, word_dim]``."""
        with torch.no_grad():
            self.word_embedding.weight.copy_(word_vectors)

    def project(self, tokens: Tensor) -> Tensor:
        """``[B, P, num_token_features]`` → ``[B, P, dim]``."""
        grid: Tensor = self.places(self.dropout(tokens))
        return grid

    def forward(self, grid: Tensor, input_ids: Tensor, attention_mask: Tensor, similarity: Tensor) -> Tensor:
        """Score candidates ``[N, K, P, dim]`` for captions ``[N, L]``; see `Reranker.forward`."""
        words = self._words(input_ids, attention_mask)  # [N, L, D]
        queries, places = self._heads(self.query(words)), self._heads(grid)  # [N, L, H, d] and [N, K, P, H, d]
        weights = torch.einsum("nlhd,nkphd->nkhlp", queries, places) / queries.shape[-1] ** 0.5
        found = torch.einsum("nkhlp,nkphd->nklhd", weights.softmax(dim=-1), places).flatten(3)  # [N, K, L, D]
        words = words[:, None].expand_as(found)
        judged = self.judge(torch.cat([words, found, words * found], dim=3)).squeeze(3)  # [N, K, L]
        real = attention_mask[:, None].to(judged.dtype)
        return similarity + (judged * real).sum(dim=2) / real.sum(dim=2).clamp(min=1)

    def _words(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` → words in their context ``[N, L, D]``, the same whatever the padding."""
        words = self.dropout(self.word_embedding(input_ids)) * attention_mask[:, :, None]
        words = self.norm(self.context(words.transpose(1, 2)).transpose(1, 2))
        return words

    def _heads(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (self.num_heads, -1))
