"""Ranks against a hand-written matrix and a brute-force oracle."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from imtext.evaluation.ranks import equal_text_ranks, retrieval_ranks
from tests.evaluation.galleries import hand_written, random_gallery


def test_hand_written_matrix() -> None:
    ranks = retrieval_ranks(*hand_written())
    assert ranks["i2t"].tolist() == [1, 3, 7, 1]
    # by column: 0.9 best | 0.1 worst | 0.7 best | 0.1 worst | 0.0 worst | 0.1 worst | 0.9 best | 0.1 worst
    assert ranks["t2i"].tolist() == [1, 4, 1, 4, 4, 4, 1, 4]


def oracle(images: Tensor, texts: Tensor, image_id: Tensor, owner: Tensor) -> dict[str, list[int]]:
    """Sort everything and find the first correct item; wrong items come first in ties."""
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
@pytest.mark.parametrize("block", [1, 300, 1_000_000])
def test_blocks_of_any_size_agree_with_the_oracle(seed: int, block: int) -> None:
    gallery = random_gallery(seed)
    ranks = retrieval_ranks(*gallery, block=block)
    assert {name: rank.tolist() for name, rank in ranks.items()} == oracle(*gallery)


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_equal_or_undefined_scores_are_no_success(value: float) -> None:
    images, texts = torch.full((10, 4), value), torch.full((20, 4), value)
    ranks = retrieval_ranks(images, texts, torch.arange(10), torch.arange(20) // 2)
    assert ranks["t2i"].eq(10).all()
    assert ranks["i2t"].eq(19).all()  # the 18 others go first


def test_equal_captions_are_right() -> None:
    """Captions 0 and 2 have the same text, and so have 5 and 6: images 0 and 1, and images 2 and 3."""
    gallery = hand_written()
    ranks = retrieval_ranks(*gallery)
    equal = equal_text_ranks(ranks, *gallery, torch.tensor([4, -1, 4, -1, -1, 0, 0, -1]))
    assert equal is not None
    # Caption 0 now finds 0.9 or 0.8, caption 2 still 0.7; caption 5 (0.5 0.3 0.1 0.4) finds image 3 behind image 0.
    assert equal["t2i"].tolist() == [1, 4, 1, 4, 4, 2, 1, 4]
    # Image 1 has caption 0, too: 0.8 behind 0.9. Image 2 has caption 6: 0.5 behind 0.6. The others are as they were.
    assert equal["i2t"].tolist() == [1, 2, 2, 1]
    assert ranks["i2t"].tolist() == [1, 3, 7, 1]


def test_without_equal_captions_there_are_no_such_ranks() -> None:
    gallery = hand_written()
    ranks = retrieval_ranks(*gallery)
    assert equal_text_ranks(ranks, *gallery, torch.full((8,), -1)) is None
    # Text 3 is that of two captions of one image, text 5 that of an image which is not measured here.
    assert equal_text_ranks(ranks, *gallery, torch.tensor([3, 3, -1, -1, 5, -1, -1, -1])) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block", [1, 300, 1_000_000])
def test_equal_captions_agree_with_an_oracle(seed: int, block: int) -> None:
    images, texts, image_id, owner = random_gallery(seed)
    order = image_id.argsort()
    images, image_id = images[order], image_id[order]
    text_id = torch.randint(-3, 6, (len(texts),), generator=torch.Generator().manual_seed(seed)).clamp(min=-1)
    scores, has = images @ texts.T, image_id[:, None] == owner[None, :]
    same = (text_id[:, None] == text_id[None, :]) & (text_id[:, None] >= 0)
    right = (has.float() @ (same | torch.eye(len(texts)).bool()).float()) > 0  # [I, T]

    def first(score: Tensor, correct: Tensor) -> int:
        best = score[correct].max()
        return 1 + int((score[~correct] >= best).sum())

    gallery = images, texts, image_id, owner
    found = equal_text_ranks(retrieval_ranks(*gallery), *gallery, text_id, block=block)
    assert found is not None
    assert found["t2i"].tolist() == [first(scores[:, t], right[:, t]) for t in range(len(texts))]
    assert found["i2t"].tolist() == [first(scores[i], right[i]) for i in range(len(images))]


def test_no_matrix_of_all_pairs() -> None:
    """30,000 captions × 6,000 images would be 720 MB of scores, and more in copies."""
    program = """
import resource, sys, torch
from imtext.evaluation.ranks import equal_text_ranks, retrieval_ranks
images, texts = torch.randn(6_000, 8), torch.randn(30_000, 8)
retrieval_ranks(images[:10], texts[:10], torch.arange(10), torch.arange(10))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
retrieval_ranks(images, texts, torch.arange(6_000), torch.arange(30_000) // 5)
print(peak() - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 400e6
