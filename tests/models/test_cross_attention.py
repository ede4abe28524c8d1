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


def reranker(**settings: float) -> CrossAttention:
    torch.manual_seed(0)
    model = CrossAttention(
        dim=8, word_dim=12, word_scale=1.0, num_token_features=FEATURES, vocabulary=VOCABULARY, **settings
    )
    torch.nn.init.normal_(model.telling.weight)  # at the beginning all words are equally telling
    return model.eval()


def candidates(model: CrossAttention) -> tuple[Tensor, Tensor]:
    """Grids ``[N, K, P, D]`` and similarities ``[N, K]``."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(len(LENGTHS) * PICTURES, PLACES, FEATURES, generator=generator)
    grid = model.project(tokens).reshape(len(LENGTHS), PICTURES, PLACES, -1)
    return grid, torch.rand(len(LENGTHS), PICTURES, generator=generator)


def test_grids_are_those_of_each_picture_alone() -> None:
    model = reranker()
    tokens = torch.randn(3, PLACES, FEATURES)
    together = model.project(tokens)
    assert together.shape == (3, PLACES, model.grid_dim)
    torch.testing.assert_close(together.norm(dim=2), torch.ones(3, PLACES))
    torch.testing.assert_close(torch.cat([model.project(each[None]) for each in tokens]), together)


def test_a_pair_by_hand() -> None:
    model = reranker()
    ids, mask = torch.tensor([[5, 9]]), torch.ones(1, 2, dtype=torch.bool)
    grid = model.project(torch.randn(1, PLACES, FEATURES))
    with torch.no_grad():
        words = model._words(ids, mask)[0]
        telling = torch.softmax(words @ model.telling.weight[0], dim=0)
        expected = 0.0
        for word, weight in zip(words, telling, strict=True):
            cosine = torch.stack([torch.cosine_similarity(word, place, dim=0) for place in grid[0]])
            attention = torch.softmax(9 * cosine, dim=0)
            expected += float(weight * (attention * cosine).sum())
        judgement = model.judge(grid[None], ids, mask)
    assert judgement.item() == pytest.approx(expected, abs=1e-5)


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


def test_candidates_that_all_captions_share() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    shared = grid[:1]
    expected = model(shared.expand_as(grid).contiguous(), *captions(), similarity)
    torch.testing.assert_close(model(shared, *captions(), similarity), expected)


def test_words_and_places_matter() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    ids, mask = captions()
    scores = model(grid, ids, mask, similarity)
    other = model(grid.roll(1, dims=0), ids, mask, similarity)
    assert not torch.isclose(scores, other).any()
    other = model(grid, ids.where(~mask, ids + 1).clamp(max=49), mask, similarity)
    assert not torch.isclose(scores, other).all(dim=1).any()


def test_the_weight_of_the_judgement() -> None:
    model = reranker()
    grid, similarity = candidates(model)
    judgement = model.judge(grid, *captions())
    model.weight.fill_(0.25)
    torch.testing.assert_close(model(grid, *captions(), similarity), 0.8 * similarity + 0.2 * judgement)
    model.weight.fill_(0)
    assert model(grid, *captions(), similarity).equal(similarity)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = CrossAttention(dim=8, word_dim=12, num_token_features=FEATURES, vocabulary=VOCABULARY)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.randn(len(LENGTHS) * PICTURES, PLACES, FEATURES)
    for _ in range(3):
        optimizer.zero_grad()
        grid = model.project(tokens).reshape(len(LENGTHS), PICTURES, PLACES, -1)
        scores = model(grid, *captions(), torch.zeros(len(LENGTHS), PICTURES))
        torch.nn.functional.cross_entropy(scores, torch.zeros(len(LENGTHS), dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    still = [name for name, value in model.named_parameters() if value.grad is None or value.grad.abs().max() < 1e-7]
    # The weights of words add up to 1, so a bias of all of them changes nothing.
    assert still in ([], ["telling.bias"])


def test_words_are_dropped_in_training_only() -> None:
    model = reranker(dropout=0.0, word_dropout=0.5)
    grid, similarity = candidates(model)
    scores = model(grid, *captions(), similarity)
    assert model(grid, *captions(), similarity).equal(scores)
    assert not model.train()(grid, *captions(), similarity).equal(scores)
    without = Vocabulary("characters", size=50, pad_id=0, unk_id=None, max_length=64)
    other = CrossAttention(8, 12, dropout=0.0, num_token_features=FEATURES, vocabulary=without).train()
    assert other(grid, *captions(), similarity).equal(other(grid, *captions(), similarity))


def test_word_vectors_are_the_start() -> None:
    model = reranker()
    assert model.wants_word_vectors == 12
    vectors = torch.randn(VOCABULARY.size, 12)
    model.start_from(vectors)
    assert model.word_embedding.weight.equal(vectors * model.word_scale)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, r"model\.reranker\.dim must be at least 1"),
        ({"dropout": 1.0}, r"model\.reranker\.dropout must be between 0 and 1"),
        ({"word_dropout": -0.1}, r"model\.reranker\.word_dropout"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CrossAttention(**settings, num_token_features=FEATURES, vocabulary=VOCABULARY)  # type: ignore[arg-type]
