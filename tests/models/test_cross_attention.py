"""The re-ranker of words and places: padding, independence of candidates, gradients, settings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imtext.errors import ConfigError
from imtext.models.cross_attention import CrossAttention
from imtext.preprocess.tokenizer import Vocabulary
from tests.models.captions import LENGTHS, VOCABULARY, captions

PLACES, FEATURES, PICTURES = 6, 10, 5


def reranker(vocabulary: Vocabulary = VOCABULARY) -> CrossAttention:
    """With a random last layer, as after some steps of training: it begins at zero."""
    torch.manual_seed(0)
    model = CrossAttention(dim=8, num_heads=2, word_dim=12, num_token_features=FEATURES, vocabulary=vocabulary)
    for parameter in model.parameters():
        if parameter.eq(0).all():
            torch.nn.init.normal_(parameter)
    return model.eval()


def candidates(model: CrossAttention) -> tuple[Tensor, Tensor]:
    """Grids ``[N, K, P, D]`` and similarities ``[N, K]``."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(len(LENGTHS) * PICTURES, PLACES, FEATURES, generator=generator)
    grid = model.project(tokens).unflatten(0, (len(LENGTHS), PICTURES))
    return grid, torch.rand(len(LENGTHS), PICTURES, generator=generator)


def test_grids_are_those_of_each_picture_alone() -> None:
    model = reranker()
    tokens = torch.randn(3, PLACES, FEATURES)
    together = model.project(tokens)
    assert together.shape == (3, PLACES, model.grid_dim)
    torch.testing.assert_close(torch.cat([model.project(each[None]) for each in tokens]), together)


def test_padding_changes_nothing() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    ids, mask = captions()
    scores = model(grid, ids, mask, similarity)
    assert scores.shape == similarity.shape
    torch.testing.assert_close(model(grid, *captions(padding=20), similarity), scores)
    torch.testing.assert_close(model(grid, ids.masked_fill(~mask, 7), mask, similarity), scores)
    for row, length in enumerate(LENGTHS):
        alone = slice(row, row + 1)
        one = model(grid[alone], ids[alone, :length], mask[alone, :length], similarity[alone])
        torch.testing.assert_close(one, scores[alone])


def test_candidates_are_scored_independently_of_each_other() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    scores = model(grid, *captions(), similarity)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(model(grid[:, order], *captions(), similarity[:, order]), scores[:, order])
    torch.testing.assert_close(model(grid[:, :2], *captions(), similarity[:, :2]), scores[:, :2])


def test_words_and_places_matter() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    ids, mask = captions()
    scores = model(grid, ids, mask, similarity)
    other = model(grid.roll(1, dims=0), ids, mask, similarity)
    assert not torch.isclose(scores, other).any()
    other = model(grid, ids.roll(1, dims=0), mask, similarity)
    assert not torch.isclose(scores, other).any()


def test_the_weight_multiplies_the_judgement() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    judgement = model(grid, *captions(), torch.zeros_like(similarity))
    model.weight.fill_(0.25)
    torch.testing.assert_close(model(grid, *captions(), similarity), similarity + 0.25 * judgement)
    model.weight.fill_(0)
    assert model(grid, *captions(), similarity).equal(similarity)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = CrossAttention(dim=8, num_heads=2, word_dim=12, num_token_features=FEATURES, vocabulary=VOCABULARY)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.randn(len(LENGTHS) * PICTURES, PLACES, FEATURES)
    for _ in range(3):  # the last layer begins at zero, so the others learn from the second step on
        optimizer.zero_grad()
        grid = model.project(tokens).unflatten(0, (len(LENGTHS), PICTURES))
        scores = model(grid, *captions(), torch.zeros(len(LENGTHS), PICTURES))
        torch.nn.functional.cross_entropy(scores, torch.zeros(len(LENGTHS), dtype=torch.int64)).backward()
        optimizer.step()
    still = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    # The bias of the last layer adds the same to every candidate, so a softmax over them has no use for it.
    assert still in ([], ["judge.3.bias"])


def test_word_vectors_are_the_start() -> None:
    model = reranker()
    assert model.wants_word_vectors == 12
    vectors = torch.randn(VOCABULARY.size, 12)
    model.start_from(vectors)
    assert model.word_embedding.weight.equal(vectors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"dim": 10, "num_heads": 4}, "multiple of model.reranker.num_heads=4"), ({"dropout": 1.0}, "between 0 and 1")],
)
def test_values_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CrossAttention(**settings, num_token_features=FEATURES, vocabulary=VOCABULARY)  # type: ignore[arg-type]
