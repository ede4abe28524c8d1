"""Neighbours: the nearest wrong pictures, and never a picture that a caption describes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imtext.data.vocabulary import learn_vocabulary
from imtext.training.rerank.neighbours import NONE, nearest_pictures, pictures_of_texts
from tests.evaluation.galleries import OWNER, SCORES


def alone() -> list[frozenset[int]]:
    return [frozenset({int(owner)}) for owner in OWNER]


def test_the_pictures_that_the_captions_of_a_picture_find() -> None:
    found = nearest_pictures(SCORES, torch.eye(8), OWNER, alone(), 2)
    # Picture 0: its captions find picture 1 with 0.8 and 0.9, picture 2 with 0.1 and 0.2, picture 3 with 0.0 and 0.8.
    # Picture 1: 0.2 and 0.3 for picture 0, 0.3 and 0.4 for 2, 0.1 and 0.2 for 3. And so on.
    assert found.tolist() == [[1, 3], [2, 0], [0, 3], [0, 2]]


def test_pictures_with_the_same_text_are_no_neighbours() -> None:
    same = alone()
    same[1], same[4] = frozenset({0, 1}), frozenset({0, 1, 2, 3})
    found = nearest_pictures(SCORES, torch.eye(8), OWNER, same, 3)
    assert found.tolist() == [[3, 2, NONE], [2, 0, 3], [NONE, NONE, NONE], [0, 2, 1]]


def random_search(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images, texts = torch.randn(40, 4, generator=generator), torch.randn(90, 4, generator=generator)
    return images, texts, torch.cat([torch.arange(40), torch.randint(0, 40, (50,), generator=generator)]).sort().values


@pytest.mark.parametrize("block", [1, 500, 1_000_000])
@pytest.mark.parametrize("count", [7, 100])
def test_blocks_of_any_size_agree_with_sorting(block: int, count: int) -> None:
    images, texts, own = random_search(0)
    same = [frozenset({int(own[row]), row % 7}) for row in range(90)]
    found = nearest_pictures(images, texts, own, same, count, block)
    assert found.shape == (40, min(count, 39))
    for picture in range(40):
        captions = [row for row in range(90) if own[row] == picture]
        right = {picture}.union(*(same[row] for row in captions))
        scores = {other: max(float(texts[row] @ images[other]) for row in captions) for other in range(40)}
        expected = sorted(scores.keys() - right, key=lambda other: -scores[other])[:count]
        assert [other for other in found[picture].tolist() if other != NONE] == expected


def test_undefined_scores_are_no_neighbours() -> None:
    images, own = torch.tensor([[1.0], [0.5], [torch.nan], [0.1]]), torch.arange(4)
    found = nearest_pictures(images, torch.ones(4, 1), own, [frozenset({n}) for n in range(4)], 3)
    assert found[0].tolist() == [1, 3, NONE]


def test_texts_are_equal_if_their_tokens_are() -> None:
    tokenizer = learn_vocabulary(["a red dog", "a cat", "the cat"], 100, 16, 1)
    captions = ["a red dog", "A  red dog", "a cat", "a cat", "the cat"]
    found = pictures_of_texts(captions, torch.tensor([0, 1, 1, 2, 2]), tokenizer)
    assert found == [{0, 1}, {0, 1}, {1, 2}, {1, 2}, {2}]
