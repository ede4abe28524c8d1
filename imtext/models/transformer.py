"""A small transformer, trained from scratch, as a text tower."""

from __future__ import annotations

from torch import Tensor, arange, nn
from torch.nn import functional as F

from imtext.errors import ConfigError
from imtext.models.pooling import Pooling, pool
from imtext.models.word_encoder import WordEncoder, WordInit, check_choice
from imtext.preprocess.tokenizer import Vocabulary


class TransformerEncoder(WordEncoder):
    """Word and position embeddings, transformer layers, a layer norm, and one vector pooled from all tokens.

    The architecture of Vaswani et al., 2017, with the norms before the layers (Xiong et al., 2020), learnt positions
    and attention in both directions. Padding is never looked at.

    Args:
        word_dim: size of a word embedding, of the layers and of the features.
        num_layers: number of layers.
        num_heads: number of attention heads in a layer; divides `word_dim`.
        dropout: on embeddings, attention weights and the output of each half of a layer.
        word_dropout: share of words that are replaced by the unknown token in training, so that the model does not
            rely on single words.
        pooling: the ``mean`` or the ``max`` of all states, the ``first`` state or the ``last`` one.
        word_init: initial word embeddings: ``random``, or ``lsa``, vectors learnt from the training captions by latent
            semantic analysis.
        word_scale: standard deviation of the initial word and position embeddings.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: a value is out of range, or `word_dropout` is used with a tokenizer that has no unknown token.
    """

    def __init__(
        self,
        word_dim: int = 256,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        word_dropout: float = 0.0,
        pooling: Pooling = "mean",
        word_init: WordInit = "random",
        word_scale: float = 0.1,
        *,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__(word_dim, dropout, word_dropout, word_init, word_scale, vocabulary)
        check_choice("pooling", pooling, Pooling)
        if num_heads < 1 or word_dim % num_heads:
            raise ConfigError(f"model.text_encoder.num_heads={num_heads} must divide word_dim={word_dim}")
        self.num_features, self.pooling = word_dim, pooling
        self.position_embedding = nn.Embedding(vocabulary.max_length, word_dim)
        nn.init.normal_(self.position_embedding.weight, std=word_scale)
        self.layers = nn.ModuleList(Layer(word_dim, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(word_dim)

    @property
    def blocks(self) -> list[nn.Module]:
        """The embeddings with their dropout, each layer, and the last norm."""
        embeddings = nn.ModuleList([self.word_embedding, self.position_embedding, self.dropout])
        return [embeddings, *self.layers, self.norm]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` int64 and ``[N, L]`` bool (True on real tokens, which come first) → ``[N, word_dim]``."""
        words = self.word_embedding(self.drop_words(input_ids, attention_mask))
        states = self.dropout(words + self.position_embedding(arange(input_ids.shape[1], device=input_ids.device)))
        for layer in self.layers:
            states = layer(states, attention_mask)
        return pool(self.norm(states), attention_mask, self.pooling)


class Layer(nn.Module):
    """Attention and two dense layers, each after a norm and added to its input."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.attention_dropout = num_heads, dropout
        self.attention_norm, self.dense_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.dense = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """States ``[N, L, D]`` and mask ``[N, L]`` → ``[N, L, D]``."""
        parts = self.query_key_value(self.attention_norm(states)).unflatten(2, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # [N, heads, L, D / heads] each
        mixed = F.scaled_dot_product_attention(
            query, key, value, attention_mask[:, None, None], self.attention_dropout if self.training else 0.0
        )
        states = states + self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        dense: Tensor = self.dropout(self.dense(self.dense_norm(states)))
        return states + dense
