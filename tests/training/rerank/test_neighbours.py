"""Wrong pictures: the nearest ones, and never a picture that a caption describes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imtext.preprocess.tokenizer import Tokenizer
from imtext.training.rerank.candidates import NONE, mine_candidates, pictures_of_texts
from tests.evaluation.galleries import OWNER, SCORES

ALONE = [frozenset[int]()] * 8


def test_the_nearest_wrong_pictures() -> None:
    found = mine_candidates(SCORES, torch.eye(8), OWNER, ALONE, 2)
    # The first caption: its own picture 0 has 0.9; 1, 2 and 3 have 0.8, 0.1 and 0.0.
    assert found.tolist() == [[1, 2], [1, 3], [2, 0], [2, 0], [0, 3], [0, 1], [0, 2], [0, 2]]


def test_pictures_with_the_same_text_are_not_wrong() -> None:
    same = [frozenset({0, 1}), *ALONE[:5], frozenset({0, 1, 2, 3}), frozenset({0, 3})]
    found = mine_candidates(SCORES, torch.eye(8), OWNER, same, 3)
    assert found[0].tolist() == [2, 3, NONE]
    assert found[6].tolist() == [NONE, NONE, NONE]
    assert found[7].tolist() == [2, 1, NONE]


def random_search(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images, texts = torch.randn(40, 4, generator=generator), torch.randn(90, 4, generator=generator)
    return images, texts, torch.randint(0, 40, (90,), generator=generator)


@pytest.mark.parametrize("block", [1, 100, 1_000_000])
@pytest.mark.parametrize("count", [7, 100])
def test_blocks_of_any_size_agree_with_sorting(block: int, count: int) -> None:
    images, texts, own = random_search(0)
    same = [frozenset({row % 40, row % 7}) for row in range(90)]
    found = mine_candidates(images, texts, own, same, count, block)
    assert found.shape == (90, min(count, 39))
    for row in range(90):
        scores = (images @ texts[row]).tolist()
        wrong = [picture for picture in range(40) if picture not in same[row] | {int(own[row])}]
        expected = sorted(wrong, key=lambda picture: -scores[picture])[:count]
        assert [picture for picture in found[row].tolist() if picture != NONE] == expected


def test_undefined_scores_are_no_candidates() -> None:
    images = torch.tensor([[1.0], [0.5], [torch.nan], [0.1]])
    found = mine_candidates(images, torch.ones(1, 1), torch.tensor([0]), ALONE, 3)
    assert found.tolist() == [[1, 3, NONE]]


def test_texts_are_equal_if_their_tokens_are() -> None:
    tokenizer = word_tokenizer(["a red dog", "a cat", "the cat"])
    captions = ["a red dog", "A red dog", "a cat", "a cat .", "the cat"]
    own = torch.tensor([0, 1, 1, 2, 2])
    found = pictures_of_texts(captions, own, tokenizer)
    assert found[:2] == [{0, 1}, {0, 1}]
    assert found[4] == {2}


def word_tokenizer(texts: list[str]) -> Tokenizer:
    from imtext.data.vocabulary import learn_vocabulary

    return learn_vocabulary(texts, 100, 16, 1)
