"""Ranks against a hand-written matrix and a brute-force oracle."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from imtext.evaluation.ranks import retrieval_ranks
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


def test_no_matrix_of_all_pairs() -> None:
    """30,000 captions × 6,000 images would be 720 MB of scores, and more in copies."""
    program = """
import resource, sys, torch
from imtext.evaluation.ranks import retrieval_ranks
images, texts = torch.randn(6_000, 8), torch.randn(30_000, 8)
retrieval_ranks(images[:10], texts[:10], torch.arange(10), torch.arange(10))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
retrieval_ranks(images, texts, torch.arange(6_000), torch.arange(30_000) // 5)
print(peak() - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 400e6
