"""A second image tower and a second text tower, to test that nothing depends on the default towers."""

from __future__ import annotations

from torch import Tensor, nn

from imtext.models import ImageEncoder, TextEncoder
from imtext.preprocess import Preprocess
from imtext.preprocess.tokenizer import Vocabulary


class PatchEncoder(ImageEncoder):
    """One convolution over patches of 8 × 8 pixels, a batch norm, and the mean over the picture."""

    preprocess = Preprocess(image_size=48, image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.5, 0.5))

    def __init__(self, num_features: int = 8, dropout: float = 0.1, train_batch_norm: bool = True) -> None:
        super().__init__(train_batch_norm)
        self.num_features = num_features
        self.patches = nn.Sequential(nn.Conv2d(3, num_features, 8, stride=8), nn.BatchNorm2d(num_features), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.patches, self.head]


class BagOfWords(TextEncoder):
    """The mean of word embeddings, and a linear layer."""

    def __init__(self, word_dim: int = 8, *, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.num_features = word_dim
        self.words = nn.Embedding(vocabulary.size, word_dim, padding_idx=vocabulary.pad_id)
        self.head = nn.Sequential(nn.Linear(word_dim, word_dim), nn.Tanh(), nn.Dropout(0.1))

    @property
    def blocks(self) -> list[nn.Module]:
        return [self.words, self.head]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        words = self.words(input_ids) * attention_mask[:, :, None]
        mean: Tensor = self.head(words.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True))
        return mean
