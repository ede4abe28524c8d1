"""Text→image search in two steps: the dual encoder finds the best pictures, the re-ranker puts them in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from imtext.data.dataset import ImageSource
from imtext.evaluation.bootstrap import bootstrap_intervals
from imtext.evaluation.definitions import RANK_METRICS
from imtext.evaluation.ranks import BLOCK, retrieval_ranks
from imtext.models import ImageEncoder
from imtext.models.reranker import Reranker
from imtext.preprocess.tokenizer import Tokenizer

TOP_K = 50  # pictures of a caption that are scored again, unless a setting says otherwise
PAIRS = 2048  # pairs of a caption and a picture scored at a time
PICTURES = 64  # pictures projected at a time
DIRECTION = "rerank_t2i"  # prefix of the metrics of the re-ranked order

Gathered = tuple[Tensor, Tensor, Tensor, Tensor]  # result of `RetrievalMetrics.gathered`


@dataclass(frozen=True)
class Shortlists:
    """The K best pictures of each of T captions by the dual encoder.

    Attributes:
        candidates: ``[T, K]`` int64, positions in the gallery, best first.
        similarity: ``[T, K]``, of the dual encoder.
        correct: ``[T]`` int64, position of the caption's picture.
        ranks: ``[T]`` int64, rank of the caption's picture in the whole gallery.
    """

    candidates: Tensor
    similarity: Tensor
    correct: Tensor
    ranks: Tensor

    def reranked(self, scores: Tensor) -> Tensor:
        """Ranks after the K best pictures were put in the order of new scores; ranks beyond K stay as they are.

        Ties and undefined scores (NaN) count against the model, as in `retrieval_ranks`.

        Args:
            scores: ``[T, K]``, larger is better.

        Returns:
            ``[T]`` int64.
        """
        own = self.candidates == self.correct[:, None]
        best = scores.masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)
        ahead = ~(scores < best) & ~own
        # A picture that is among the first K only by the luck of a tie is not found.
        found = self.ranks <= self.candidates.shape[1]
        return torch.where(found, ahead.sum(dim=1) + 1, self.ranks)


def shortlists(
    images: Tensor, texts: Tensor, image_id: Tensor, caption_image_id: Tensor, top_k: int, block: int = BLOCK
) -> Shortlists:
    """The best pictures of each caption.

    Args:
        images: ``[I, D]``.
        texts: ``[T, D]``.
        image_id: ``[I]``, ascending.
        caption_image_id: ``[T]``, each also in `image_id`.
        top_k: pictures of a caption; all of a smaller gallery.
        block: number of scores to compute at a time; the result does not depend on it.
    """
    size = min(top_k, len(images))
    candidates = torch.empty(len(texts), size, dtype=torch.int64, device=images.device)
    similarity = torch.empty(len(texts), size, device=images.device)
    step = max(1, block // len(images))
    for start in range(0, len(texts), step):
        rows = slice(start, start + step)
        similarity[rows], candidates[rows] = (texts[rows] @ images.T).topk(size, dim=1)
    correct = torch.searchsorted(image_id.cpu(), caption_image_id.cpu()).to(images.device)
    ranks = retrieval_ranks(images, texts, image_id, caption_image_id)["t2i"]
    return Shortlists(candidates, similarity, correct, ranks)


class SecondLook:
    """The captions of a split, their shortlists, and the tokens of its pictures.

    Args:
        gathered: embeddings and ids, as `RetrievalMetrics.gathered` returns them.
        top_k: pictures of a caption that are scored again.
        encoder: the image tower, in evaluation mode on the device of the embeddings.
        pictures: the pictures, or cached features of them, by row of the data set; the ids are these rows.
        captions: captions of all rows of the data set.
        tokenizer: turns captions into token ids.
    """

    def __init__(
        self,
        gathered: Gathered,
        top_k: int,
        encoder: ImageEncoder,
        pictures: ImageSource,
        captions: Sequence[Sequence[str]],
        tokenizer: Tokenizer,
    ) -> None:
        self.image_id, self.caption_image_id = gathered[2], gathered[3]
        self.lists = shortlists(*gathered, top_k)
        self.encoder, self.pictures, self.tokenizer = encoder, pictures, tokenizer
        self.captions = [text for row in self.image_id.tolist() for text in captions[row]]

    def ranks(self, reranker: Reranker, title: str = "Re-ranking") -> Tensor:
        """Rank ``[T]`` of the picture of each caption in the re-ranked order."""
        return self.lists.reranked(reranker.combine(self.judgement(reranker, title), self.lists.similarity))

    @torch.no_grad()
    def judgement(self, reranker: Reranker, title: str = "Re-ranking") -> Tensor:
        """The re-ranker's own judgement of the pictures of all shortlists, without the similarity.

        Memory grows with the number of pictures by their grids, in half precision.

        Args:
            reranker: on the device of the embeddings; its mode is kept.
            title: of the progress bar.

        Returns:
            ``[T, K]``.
        """
        training, device = reranker.training, self.lists.similarity.device
        reranker.eval()
        grids = torch.cat([reranker.project(tokens).half() for tokens in self._tokens(title)])
        candidates = self.lists.candidates
        judgement = torch.empty_like(self.lists.similarity)
        step = max(1, PAIRS // candidates.shape[1])
        for start in track(range(0, len(candidates), step), description=title, transient=True):
            rows = slice(start, start + step)
            ids, mask = (torch.from_numpy(part).to(device) for part in self.tokenizer(self.captions[rows]))
            judgement[rows] = reranker.judge(grids[candidates[rows]].float(), ids, mask)
        reranker.train(training)
        return judgement

    def _tokens(self, title: str) -> Iterator[Tensor]:
        rows, device = self.image_id.tolist(), self.image_id.device
        for start in track(range(0, len(rows), PICTURES), description=f"{title}: places", transient=True):
            part = rows[start : start + PICTURES]
            found = self.pictures.batch(part, [np.random.default_rng(0) for _ in part])  # there is one view of each
            yield self.encoder.tokens(found.to(device), self.pictures.first_block)


def rerank_metrics(look: SecondLook, ranks: Tensor, intervals: bool = True) -> dict[str, float]:
    """The metrics of the re-ranked order, such as `rerank_t2i_r@1`, and the number of pictures that were re-ranked.

    Args:
        look: the split.
        ranks: ``[T]``, result of `SecondLook.ranks`.
        intervals: also the ends of `bootstrap_intervals`.
    """
    metrics = {f"{DIRECTION}_{name}": metric(ranks) for name, metric in RANK_METRICS.items()}
    if intervals:
        ends = bootstrap_intervals({DIRECTION: ranks}, look.image_id, look.caption_image_id)
        metrics |= {f"{name}_low": low for name, (low, _) in ends.items()}
        metrics |= {f"{name}_high": high for name, (_, high) in ends.items()}
    return metrics | {"rerank_top_k": float(look.lists.candidates.shape[1])}
