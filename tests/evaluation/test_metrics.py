"""Retrieval metrics against hand-written matrices and a brute-force oracle."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from imtext.evaluation.metrics import FIGURES, RetrievalMetrics, bootstrap_intervals, retrieval_ranks


def embeddings_for(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Images and texts whose dot products are exactly `scores` [images, texts]."""
    return scores, torch.eye(scores.shape[1])


def test_hand_written_matrix() -> None:
    # 4 images, 8 captions, two each: 0 0 1 1 2 2 3 3
    scores = torch.tensor(
        [
            [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],  # image 0: own captions 0.9 and 0.1, so rank 1
            [0.8, 0.9, 0.7, 0.1, 0.2, 0.3, 0.4, 0.5],  # image 1: own 0.7 behind 0.9 and 0.8, so rank 3
            [0.1, 0.2, 0.3, 0.4, 0.0, 0.1, 0.5, 0.6],  # image 2: own 0.1 behind 0.2 … 0.6, tied with 0.1, so rank 7
            [0.0, 0.8, 0.1, 0.2, 0.3, 0.4, 0.9, 0.1],  # image 3: rank 1
        ]
    )
    owner = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    images, texts = embeddings_for(scores)
    ranks = retrieval_ranks(images, texts, torch.arange(4), owner)
    assert ranks["i2t"].tolist() == [1, 3, 7, 1]
    # by column: 0.9 best | 0.1 worst | 0.7 best | 0.1 worst | 0.0 worst | 0.1 worst | 0.9 best | 0.1 worst
    assert ranks["t2i"].tolist() == [1, 4, 1, 4, 4, 4, 1, 4]

    metric = RetrievalMetrics()
    metric.update(images, texts, torch.arange(4), owner)
    figures = metric.compute()
    assert set(figures) == set(FIGURES)
    assert figures["i2t_r@1"] == 0.5
    assert figures["i2t_r@5"] == 0.75
    assert figures["i2t_r@10"] == 1
    assert figures["t2i_r@1"] == 3 / 8
    assert figures["t2i_r@5"] == 1
    assert figures["i2t_mrr"] == pytest.approx((1 + 1 / 3 + 1 / 7 + 1) / 4)
    assert figures["t2i_mean_rank"] == pytest.approx((3 * 1 + 5 * 4) / 8)
    assert figures["rsum"] == pytest.approx(0.5 + 0.75 + 1 + 3 / 8 + 1 + 1)
    own = [0.9, 0.1, 0.7, 0.1, 0.0, 0.1, 0.9, 0.1]
    assert figures["positive_similarity"] == pytest.approx(sum(own) / 8)
    assert figures["negative_similarity"] == pytest.approx((scores.sum().item() - sum(own)) / 24)


def random_gallery(seed: int, images: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images with 1, 3 or 5 captions, under shuffled ids."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.tensor([1, 3, 5])[torch.randint(0, 3, (images,), generator=generator)]
    image_id = torch.randperm(1_000, generator=generator)[:images]
    caption_image_id = image_id.repeat_interleave(counts)
    vectors = F.normalize(torch.randn(images, 16, generator=generator), dim=1)
    texts = vectors.repeat_interleave(counts, dim=0)
    texts = F.normalize(texts + torch.randn(texts.shape, generator=generator), dim=1)
    return vectors, texts, image_id, caption_image_id


def oracle(images: Tensor, texts: Tensor, image_id: Tensor, owner: Tensor) -> dict[str, list[int]]:
    """Sort everything, look where the first correct item stands; ties go to the others."""
    scores = (images @ texts.T).tolist()
    t2i = []
    for t in range(len(texts)):
        order = sorted(range(len(images)), key=lambda i: (-scores[i][t], image_id[i] == owner[t]))
        t2i.append(1 + [bool(image_id[i] == owner[t]) for i in order].index(True))
    i2t = []
    for i in range(len(images)):
        order = sorted(range(len(texts)), key=lambda t: (-scores[i][t], image_id[i] == owner[t]))
        i2t.append(1 + [bool(image_id[i] == owner[t]) for t in order].index(True))
    return {"t2i": t2i, "i2t": i2t}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scores", [1, 300, 1_000_000])
def test_oracle_and_chunks(seed: int, scores: int) -> None:
    gallery = random_gallery(seed)
    ranks = retrieval_ranks(*gallery, scores=scores)
    assert {name: rank.tolist() for name, rank in ranks.items()} == oracle(*gallery)


def test_batches_do_not_matter() -> None:
    images, texts, image_id, owner = random_gallery(3)
    whole, parts = RetrievalMetrics(), RetrievalMetrics()
    whole.update(images, texts, image_id, owner)
    for start in range(0, len(images), 7):
        rows = slice(start, start + 7)
        mine = torch.isin(owner, image_id[rows])
        parts.update(images[rows], texts[mine], image_id[rows], owner[mine])
    assert parts.compute() == pytest.approx(whole.compute(), abs=1e-5)


def test_repeated_images_count_once() -> None:
    images, texts, image_id, owner = random_gallery(4)
    once, padded = RetrievalMetrics(), RetrievalMetrics()
    for metric in (once, padded):
        metric.update(images, texts, image_id, owner)
    again = owner == image_id[0]  # a sampler that pads its last batch
    padded.update(images[:1], texts[again], image_id[:1], owner[again])
    assert padded.compute() == pytest.approx(once.compute())


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_equal_or_undefined_scores_are_no_success(value: float) -> None:
    images, texts = torch.full((10, 4), value), torch.full((20, 4), value)
    ranks = retrieval_ranks(images, texts, torch.arange(10), torch.arange(20) // 2)
    assert ranks["t2i"].eq(10).all()
    assert ranks["i2t"].eq(19).all()  # the 18 others go first


def test_no_matrix_of_all_pairs() -> None:
    """30,000 captions × 6,000 images would be 720 MB of scores, and more in copies; a block of them has to do."""
    program = """
import resource, sys, torch
from imtext.evaluation.metrics import retrieval_ranks
images, texts = torch.randn(6_000, 8), torch.randn(30_000, 8)
retrieval_ranks(images[:10], texts[:10], torch.arange(10), torch.arange(10))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
retrieval_ranks(images, texts, torch.arange(6_000), torch.arange(30_000) // 5)
print(peak() - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 400e6


class TestIntervals:
    def ranks(self, images: int = 400, seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Captions that stand and fall with their image, and ids out of order."""
        generator = torch.Generator().manual_seed(seed)
        image_id = torch.randperm(images, generator=generator) * 3 + 7
        good = torch.rand(images, generator=generator) < 0.5
        ranks = {"t2i": torch.where(good, 1, 50).repeat_interleave(5), "i2t": torch.where(good, 1, 50)}
        return ranks, image_id, image_id.repeat_interleave(5)

    def test_images_are_drawn_not_captions(self) -> None:
        ranks, image_id, owner = self.ranks()
        intervals = bootstrap_intervals(ranks, image_id, owner)
        value = (ranks["i2t"] == 1).float().mean().item()
        # of a share: ± 1.96 √(p (1 - p) / n), with n the number of images for captions as well
        half = 1.96 * (value * (1 - value) / len(image_id)) ** 0.5
        for name in ("t2i_r@1", "i2t_r@1"):
            low, high = intervals[name]
            assert low == pytest.approx(value - half, abs=0.01)
            assert high == pytest.approx(value + half, abs=0.01)

    def test_contains_the_truth_about_as_often_as_it_says(self) -> None:
        covered = 0
        for seed in range(60):
            low, high = bootstrap_intervals(*self.ranks(100, seed), samples=500)["t2i_r@1"]
            covered += low <= 0.5 <= high
        assert covered >= 52  # 57 are expected

    def test_captions_in_any_order_and_number(self) -> None:
        image_id, owner = torch.tensor([5, 2, 9]), torch.tensor([9, 2, 5, 2])
        ranks = {"t2i": torch.tensor([1, 1, 1, 1]), "i2t": torch.tensor([1, 20, 1])}
        intervals = bootstrap_intervals(ranks, image_id, owner)
        assert intervals == bootstrap_intervals(ranks, image_id, owner)
        assert intervals["i2t_r@10"][0] < 1
        assert min(intervals["t2i_r@1"]) == 1
