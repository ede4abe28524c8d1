"""A correction of hubs: pictures and captions that are near to everything and therefore found too often."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

EXTRA = 4  # dimensions that the correction adds to an embedding
LIMIT = 0.5  # largest correction of a similarity


class Queries(NamedTuple):
    """Embeddings ``[N, D]`` of one kind, and clusters of them: centres ``[size, D]``, shares ``[size]``."""

    embeddings: Tensor
    bank: Tensor
    weight: Tensor


class HubnessCorrection(nn.Module):
    """Lowers the similarity of hubs by what a bank of training queries finds in them.

    The inverted softmax (Smith et al., 2017; for retrieval: Bogolin et al., "Cross Modal Retrieval with Querybank
    Normalisation", CVPR 2022) divides the softmax of a candidate by its sum over a bank of queries. Its logarithm is a
    penalty ``b(x) = t · log Σ_k w_k exp(x · q_k / t) - mean``, so that the corrected similarity of a picture i and a
    text n is ``i · n - b(i) - b(n)``. Banks are the centres of clusters of training embeddings of the other kind.

    Four more dimensions turn the penalties into a part of the embeddings, whose dot product is half of the corrected
    similarity. All embeddings keep unit length, so nothing that searches them needs to know.

    Args:
        size: queries in each bank.
        dim: size of an embedding.
    """

    bank: Tensor
    log_weight: Tensor
    mean: Tensor
    temperature: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        # The first bank has pictures, against which texts are compared, the second has texts.
        self.register_buffer("bank", torch.zeros(2, size, dim))
        self.register_buffer("log_weight", torch.zeros(2, size))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("temperature", torch.zeros(()))
        self.fitted = False  # not a tensor, so that graphs can be exported
        self.register_load_state_dict_post_hook(lambda module, _: module._find_out())  # type: ignore[no-untyped-call]

    def forward_images(self, images: Tensor) -> Tensor:
        """``[B, D]`` of unit length → ``[B, D + 4]`` of unit length."""
        penalty = self.penalty(images, 1)
        root = torch.full_like(penalty, LIMIT**0.5)
        return _joined(images, -penalty / LIMIT**0.5, root, _rest(penalty), torch.zeros_like(penalty))

    def forward_texts(self, texts: Tensor) -> Tensor:
        """``[N, D]`` of unit length → ``[N, D + 4]`` of unit length."""
        penalty = self.penalty(texts, 0)
        root = torch.full_like(penalty, LIMIT**0.5)
        return _joined(texts, root, -penalty / LIMIT**0.5, torch.zeros_like(penalty), _rest(penalty))

    def penalty(self, embeddings: Tensor, bank: int) -> Tensor:
        """``b(x)`` of each embedding ``[N, D]`` → ``[N, 1]``; pictures are compared with bank 1, texts with bank 0."""
        return (self._raw(embeddings, bank) - self.mean[bank]).clamp(-LIMIT, LIMIT)

    def _raw(self, embeddings: Tensor, bank: int) -> Tensor:
        logits = embeddings.to(self.bank) @ self.bank[bank].T / self.temperature + self.log_weight[bank]
        return self.temperature * logits.logsumexp(dim=1, keepdim=True)

    @torch.no_grad()
    def use(self, images: Queries, texts: Queries, temperature: float) -> None:
        """Take banks of training pictures and captions; they also say which penalty is the mean."""
        for number, part in enumerate((images, texts)):
            self.bank[number].copy_(part.bank)
            self.log_weight[number].copy_(part.weight.clamp(min=1e-9).log())
        self.temperature.fill_(temperature)
        self.mean.zero_()
        self.mean.copy_(torch.stack([self._raw(part.embeddings, number).mean()
                                     for number, part in enumerate((texts, images))]))  # fmt: skip
        self._find_out()

    def reset(self) -> None:
        """Leave embeddings as they are, until new banks are given."""
        self.temperature.zero_()
        self._find_out()

    def _find_out(self) -> None:
        self.fitted = bool(self.temperature > 0)


def _rest(penalty: Tensor) -> Tensor:
    """What is missing to the length that all embeddings share."""
    return (LIMIT - penalty.square() / LIMIT).clamp(min=0).sqrt()


def _joined(*parts: Tensor) -> Tensor:
    joined: Tensor = torch.cat(parts, dim=1) / (1 + 2 * LIMIT) ** 0.5
    return joined
