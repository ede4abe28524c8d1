"""A bag of words with learnt weights as a text tower."""

from __future__ import annotations

from torch import Tensor, nn

from imtext.models.word_encoder import WordEncoder, WordInit
from imtext.preprocess.tokenizer import Vocabulary


class BagOfWords(WordEncoder):
    """The weighted mean of word embeddings: no word order, few parameters, and hard to beat on few captions.

    Every word of the vocabulary has a weight, ``exp`` of a learnt number, so that the words that describe a picture can
    count more than the others. All weights are equal at first. Compare the weights by frequency of Arora et al., "A
    Simple but Tough-to-Beat Baseline for Sentence Embeddings", 2017.

    Args:
        word_dim: size of a word embedding, and of the features.
        dropout: on word embeddings.
        word_dropout: share of words that are replaced by the unknown token in training, so that the model does not
            rely on single words.
        word_init: initial word embeddings: ``random``, or ``lsa``, vectors learnt from the training captions by latent
            semantic analysis.
        word_scale: standard deviation of the initial word embeddings. A small value lets the optimizer change their
            mean faster.
        vocabulary: vocabulary of the tokenizer; supplied by the program.

    Raises:
        ConfigError: a value is out of range, or `word_dropout` is used with a tokenizer that has no unknown token.
    """

    def __init__(
        self,
        word_dim: int = 300,
        dropout: float = 0.1,
        word_dropout: float = 0.0,
        word_init: WordInit = "random",
        word_scale: float = 1.0,
        *,
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__(word_dim, dropout, word_dropout, word_init, word_scale, vocabulary)
        self.num_features = word_dim
        self.log_weight = nn.Embedding(vocabulary.size, 1)
        nn.init.zeros_(self.log_weight.weight)

    @property
    def blocks(self) -> list[nn.Module]:
        """The word embeddings with their dropout, then the weights of the words."""
        return [nn.ModuleList([self.word_embedding, self.dropout]), self.log_weight]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """``[N, L]`` int64 and ``[N, L]`` bool (True on real tokens) → ``[N, word_dim]``."""
        input_ids = self.drop_words(input_ids, attention_mask)
        # Weights divided by their sum are the softmax of their logarithms.
        weights = self.log_weight(input_ids).masked_fill(~attention_mask[:, :, None], -float("inf")).softmax(dim=1)
        mean: Tensor = (self.dropout(self.word_embedding(input_ids)) * weights).sum(dim=1)
        return mean
